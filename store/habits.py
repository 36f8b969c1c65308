"""How people name splits, and what their systems leave among pictures."""

SPLITS = ("train", "val", "test")
APART = ("base", "val", "novel")
"""Splits whose classes are not the same ones."""
HABITS = {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "testing": "test",
}
TOOLS = frozenset(
    {"__macosx", "@eadir", "@recycle", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "recycler", "lost+found",
     "system volume information", "thumbs.db", "desktop.ini"}
)  # fmt: skip
"""What archives, disk stations and systems make: thumbnails and what was deleted, never data."""


def usual(name: str) -> str:
    """The split that a name means, `train` for `Training `; a name that means none is returned as it is."""
    plain = name.strip().lower()
    plain = HABITS.get(plain, plain)
    return plain if plain in (*SPLITS, *APART) else name


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not its owner's: `.ipynb_checkpoints`, `._1.jpg`, `@eaDir` and their kind."""
    return name.startswith(".") or name.lower() in TOOLS
