"""Write the golden files anew, after a change of words that is meant: python -m tests.golden.write.

Read the difference before committing it: stored answers to prompts that changed are asked again.
"""

from __future__ import annotations

from tests.golden.rendering import FOLDER, pages


def main() -> None:
    expected = pages()
    for path in sorted(FOLDER.rglob("*.txt")):
        if path not in expected:
            path.unlink()
    for path, text in expected.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(f"{len(expected)} files in {FOLDER}")


if __name__ == "__main__":
    main()
