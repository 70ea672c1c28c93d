"""How far apart are two photographs of one person, and of two? Measures what `facexray identify --threshold` does.

    python benchmarks/identity_threshold.py STORE...

Each store needs identities that somebody gave. Frames with several faces are left out: a rule on file names calls
all of them by one name. Pairs of one person are of two sources; frames of one video would look too much alike.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from facexray.faces.embedding import THRESHOLD, cluster, embed
from facexray.faces.store import FaceStore

THRESHOLDS = np.arange(0.30, 0.661, 0.02)
QUANTILES = [0, 0.001, 0.01, 0.5, 0.99, 0.999, 1]


def read(paths):
    """Embeddings (N, 128), identities (N,) and sources (N,) of the faces that are alone in their frame."""
    embeddings, people, sources = [], [], []
    for store in map(FaceStore, paths):
        places = list(zip(store.column("source"), store.column("frame"), strict=True))
        faces_at = Counter(places)
        for index, who in enumerate(store.column("identity")):
            if who and faces_at[places[index]] == 1:
                embeddings.append(embed(store.crop(index), store.landmarks[index]))
                people.append(who)
                sources.append(places[index][0])
    return np.stack(embeddings), np.array(people), np.array(sources)


def distances(embeddings, people, sources):
    """The distances of all pairs of one person in two sources, and of all pairs of two people."""
    first, second = np.triu_indices(len(people), 1)
    apart = np.concatenate([np.linalg.norm(embeddings[i + 1 :] - row, axis=1) for i, row in enumerate(embeddings)])
    alike = people[first] == people[second]
    return apart[alike & (sources[first] != sources[second])], apart[~alike]


def clustered(embeddings, people, threshold):
    """How many people `identify` would split, and how many share a cluster with another."""
    pairs = set(zip(people, cluster(embeddings, threshold), strict=True))
    clusters_of, people_of = Counter(who for who, _ in pairs), Counter(label for _, label in pairs)
    return sum(count > 1 for count in clusters_of.values()), len({who for who, label in pairs if people_of[label] > 1})


def main(paths):
    embeddings, people, sources = read(paths)
    same, different = distances(embeddings, people, sources)
    print(f"{len(people)} faces of {len(set(people))} people; pairs of one: {len(same)}, of two: {len(different)}\n")
    print("distance at the share of pairs", "".join(f"{share:9.1%}" for share in QUANTILES))
    for name, values in (("one person", same), ("two people", different)):
        print(f"{name:30}", "".join(f"{value:9.3f}" for value in np.quantile(values, QUANTILES)))
    print("\nthreshold  false splits    false matches     strangers per face   people    people")
    print("           (one person)    (two people)      among 10,000         split     merged")
    for threshold in sorted({*THRESHOLDS.round(2).tolist(), 0.45, THRESHOLD}):
        splits, matches = (same > threshold).mean(), (different <= threshold).mean()
        split, merged = clustered(embeddings, people, threshold)
        print(f"{threshold:9.2f} {splits:13.2%} {matches:16.4%} {10_000 * matches:20.2f} {split:10} {merged:9}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main([Path(argument) for argument in sys.argv[1:]])
