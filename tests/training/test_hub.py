"""Push: one commit of three files to the hub, and what is refused. No test reaches the network."""

import json

import pytest
import torch
import yaml
from onnx import TensorProto, helper
from safetensors.torch import save_file

from facexray.cli import main
from facexray.errors import ModelError, SettingsError
from facexray.runtime.card import METADATA_KEY
from facexray.runtime.model import CONVENTION, XrayModel
from facexray.training import hub
from facexray.training.command import push

SCORES = {"AUC": 0.91, "AUC_95": [0.88, 0.94], "AP": 0.9, "AP_95": [0.86, 0.93], "EER": 0.2, "EER_95": [0.1, 0.3]}
CARD = {
    "name": "model",
    "licence": "cc-by-nc-4.0",
    "convention": CONVENTION,
    "thresholds": {"real_below": 0.2, "fake_above": 0.8},
    "validation": {"degraded": SCORES, "unseen": {**SCORES, "AUC": 0.8}},
}


class FakeApi:
    """The hub as it is seen from here."""

    def __init__(self):
        self.repos, self.commits, self.error = [], [], None

    def create_repo(self, repo, exist_ok):
        if self.error:
            raise self.error
        assert exist_ok
        self.repos.append(repo)
        return f"https://huggingface.co/{repo}"

    def create_commit(self, repo, operations, commit_message):
        assert repo in self.repos
        assert "model" in commit_message
        self.commits.append({operation.path_in_repo: operation.path_or_fileobj for operation in operations})


@pytest.fixture
def api(monkeypatch):
    fake = FakeApi()
    monkeypatch.setattr(hub, "HfApi", lambda **_: fake)
    monkeypatch.setattr(hub, "get_token", lambda: "hf_token")
    return fake


@pytest.fixture
def model(tmp_path):
    """The three files of an export; the network doubles its input."""
    views, out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("views", "score"))
    graph = helper.make_graph([helper.make_node("Add", ["views", "views"], ["score"])], "double", [views], [out])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(made, {METADATA_KEY: json.dumps(CARD)})
    path = tmp_path / "model.onnx"
    path.write_bytes(made.SerializeToString())
    save_file({"weight": torch.ones(2)}, tmp_path / "model.safetensors", {METADATA_KEY: json.dumps(CARD)})
    (tmp_path / "model.md").write_text(f"# model\n\nSHA-256 {XrayModel.load(path).sha256}, λ = 100\n", encoding="utf-8")
    return path


def test_the_three_files_go_in_one_commit(model, api):
    assert push(str(model), "owner/name") == "https://huggingface.co/owner/name"
    assert api.repos == ["owner/name"]
    (commit,) = api.commits
    assert set(commit) == {"model.onnx", "model.safetensors", "README.md"}
    assert commit["model.onnx"] == str(model)
    assert commit["model.safetensors"] == str(model.with_suffix(".safetensors"))


def test_the_readme_is_the_card_under_what_the_hub_reads(model, api):
    push(model, "owner/name")
    _, front, text = api.commits[0]["README.md"].decode().split("---\n", 2)
    assert text.lstrip("\n") == model.with_suffix(".md").read_text(encoding="utf-8")
    data = yaml.safe_load(front)
    assert data["license"] == "cc-by-nc-4.0"
    assert data["library_name"] == "facexray"
    assert {"face-x-ray", "deepfake-detection", "onnx"} <= set(data["tags"])
    (index,) = data["model-index"]
    assert index["name"] == "model"
    found = {result["dataset"]["name"]: result["metrics"][0]["value"] for result in index["results"]}
    assert [(name.split(", ")[1], value) for name, value in found.items()] == [
        ("degraded (validation)", 0.91),
        ("unseen (validation)", 0.8),
    ]


def test_the_front_matter_is_what_the_hubs_own_client_understands(model, api):
    from huggingface_hub import ModelCard

    push(model, "owner/name")
    card = ModelCard(api.commits[0]["README.md"].decode())
    assert card.data.license == "cc-by-nc-4.0"
    assert {(result.metric_name, result.metric_value) for result in card.data.eval_results} >= {("AUC", 0.8)}


def test_without_a_token_nothing_is_sent(model, api, monkeypatch):
    monkeypatch.setattr(hub, "get_token", lambda: None)
    with pytest.raises(SettingsError, match=r"no token.*hf auth login"):
        push(model, "owner/name")
    assert not api.repos


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionError("Name or service not known"), "Name or service not known"),
        (ValueError("403 Forbidden\n\nRequest ID: 1"), r"403 Forbidden\)"),
        (TimeoutError(), r"\(TimeoutError\)"),
    ],
)
def test_what_the_hub_says_is_one_sentence_with_a_remedy(error, reason, model, api):
    api.error = error
    with pytest.raises(SettingsError, match=rf"owner/name: .*{reason}.*check the network") as caught:
        push(model, "owner/name")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".md"])
def test_a_model_without_its_files_is_refused(suffix, model, api):
    model.with_suffix(suffix).unlink()
    with pytest.raises(ModelError, match=rf"model\{suffix}.* must stand beside it.*export the run again"):
        push(model, "owner/name")
    assert not api.repos


def test_files_of_another_export_are_refused(model, api):
    card = model.with_suffix(".md")
    text = card.read_text(encoding="utf-8")
    card.write_text("# of another model")
    with pytest.raises(ModelError, match="is of another export"):
        push(model, "owner/name")
    card.write_text(text, encoding="utf-8")
    other = {METADATA_KEY: json.dumps({**CARD, "seed": 9})}
    save_file({"weight": torch.ones(2)}, model.with_suffix(".safetensors"), other)
    with pytest.raises(ModelError, match="is of another export"):
        push(model, "owner/name")
    assert not api.repos


@pytest.mark.parametrize("damaged", [b"", b"no weights"])
def test_damaged_weights_are_refused(damaged, model, api):
    model.with_suffix(".safetensors").write_bytes(damaged)
    with pytest.raises(ModelError, match="export the run again"):
        push(model, "owner/name")


def test_a_missing_model_is_refused(tmp_path, api):
    with pytest.raises(ModelError, match="no such model"):
        push(tmp_path / "model.onnx", "owner/name")


def test_the_command_says_where_the_model_is(model, api, capsys):
    assert main(["push", str(model), "owner/name"]) == 0
    assert capsys.readouterr().out == "pushed: https://huggingface.co/owner/name\n"
    api.error = ConnectionError("no network")
    assert main(["push", str(model), "owner/name"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
