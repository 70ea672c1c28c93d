"""The errors of facexray: each message says what was got, what was expected, and what to do."""


class FaceXrayError(Exception):
    """Base of every error that facexray raises on purpose."""


class MediaError(FaceXrayError, ValueError):
    """A photograph or video that cannot be read, or a path where none is."""


class LandmarksError(FaceXrayError, ValueError):
    """Landmarks that are missing, too few, or not finite."""


class StoreError(FaceXrayError, ValueError):
    """A face store or a blended set that is missing, damaged, or too small for the task."""


class BlendError(FaceXrayError, ValueError):
    """A blended image that cannot be made, for example because its mask is empty."""


class ModelError(FaceXrayError, ValueError):
    """A model file or checkpoint that is not ours, or damaged."""


class SettingsError(FaceXrayError, ValueError):
    """A setting out of its range, or an output that is in the way."""


class MissingExtraError(FaceXrayError, ImportError):
    """An optional part that is not installed; the message is the line that installs it."""
