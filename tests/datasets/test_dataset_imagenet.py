"""ImageNet's archives: values, class numbers, oddities, resumption, and every kind of damage."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.datasets import imagenet as module
from experiments.datasets.fashion_mnist import FashionMnist
from experiments.datasets.image_decoding import decode
from experiments.datasets.imagenet import DEVIATION, MEAN, ImageNet
from experiments.datasets.imagenet_archives import DEVKIT, TRAIN, VALID, Devkit, members
from experiments.datasets.imagenet_generator import Images, add
from experiments.datasets.raw import Block, Records
from experiments.datasets.source import SPLITS, Split
from experiments.errors import DataError

SMALL = Images(classes=4, train=45, valid=9)
SIDE = 24


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images") / "raw"
    SMALL.write(folder)
    return folder


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IMAGES", 8)


def raw(folder: Path) -> ImageNet:
    return ImageNet(folder, SIDE, sizes=())


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    for name in (TRAIN, VALID, DEVKIT):
        (tmp_path / name).write_bytes((written / name).read_bytes())
    return tmp_path


def together(blocks: list[Block], split: Split) -> Records:
    found = [block.rows[split] for block in blocks if split in block.rows]
    return np.concatenate([x for x, _ in found]), np.concatenate([y for _, y in found])


def test_values_are_those_of_one_image_after_the_other(written: Path) -> None:
    """Read with Pillow and tarfile alone."""
    blocks = list(raw(written).blocks(None))
    with tarfile.open(written / DEVKIT) as kit:
        lines = kit.extractfile(f"{DEVKIT[:-7]}/data/ILSVRC2012_validation_ground_truth.txt")
        assert lines is not None
        truth = [int(line) for line in lines.read().split()]
    wnids = sorted({SMALL.wnid(number) for number in range(SMALL.classes)})
    expected: dict[Split, list[tuple[np.ndarray, int]]] = {"train": [], "valid": []}
    with tarfile.open(written / TRAIN) as outer:
        for info in outer:
            with tarfile.open(fileobj=outer.extractfile(info)) as inner:
                for name in inner.getnames():
                    file = inner.extractfile(name)
                    assert file is not None
                    expected["train"].append((pixels(file.read()), wnids.index(info.name[:9])))
    with tarfile.open(written / VALID) as outer:
        for name in outer.getnames():
            file = outer.extractfile(name)
            assert file is not None
            wnid = SMALL.wnid(truth[int(name[15:23]) - 1] - 1)
            expected["valid"].append((pixels(file.read()), wnids.index(wnid)))
    for split in SPLITS:
        x, y = together(blocks, split)
        assert np.array_equal(x, np.stack([each for each, _ in expected[split]]))
        assert y.tolist() == [label for _, label in expected[split]]
    assert blocks[-1].position <= raw(written).size()
    assert np.bincount(together(blocks, "train")[1]).tolist() == [45] * 4


def pixels(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (2 * SIDE, 2 * SIDE))
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def test_the_same_class_is_the_same_number_in_both_splits(written: Path) -> None:
    """Told by the pictures: mean colours of a class are nearest to its own in the other split."""
    blocks = list(raw(written).blocks(None))
    means = {}
    for split in SPLITS:
        x, y = together(blocks, split)
        colour = ~(x[..., 0] == x[..., 1]).all(axis=(1, 2))  # the others are grey
        means[split] = np.stack(
            [x[(y == k) & colour].mean(axis=(0, 1, 2)) for k in range(SMALL.classes)]
        )
    distance = np.linalg.norm(means["train"][:, None] - means["valid"], axis=-1)
    assert distance.argmin(axis=1).tolist() == [0, 1, 2, 3]


def test_a_small_decoding_is_near_the_whole_one(written: Path) -> None:
    """Where JPEGs are decoded at a part of their size: half a grey level in the mean."""
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 255, (12, 15, 3), np.uint8)).resize((500, 400))
    out = io.BytesIO()
    smooth.save(out, "JPEG", quality=92)
    found = decode(out.getvalue(), 112).pixels.astype(int)
    whole = Image.open(io.BytesIO(out.getvalue())).resize((112, 112), Image.Resampling.BILINEAR)
    assert np.abs(found - np.asarray(whole)).mean() < 0.5


def test_oddities_are_handled_and_counted(written: Path) -> None:
    noted: Counter[str] = Counter()
    for block in raw(written).blocks(None):
        noted.update(block.noted)
    assert noted == {"CMYK": 1, "PNG": 1, "grey": 5}


def test_it_goes_on_from_every_cursor(written: Path) -> None:
    blocks = list(raw(written).blocks(None))
    for index, block in enumerate(blocks[:-1]):
        after = list(raw(written).blocks(block.cursor))
        assert [each.cursor for each in after] == [each.cursor for each in blocks[index + 1 :]]
        for ours, theirs in zip(after, blocks[index + 1 :], strict=True):
            assert ours.position == theirs.position
            for split, (x, y) in theirs.rows.items():
                assert np.array_equal(ours.rows[split][0], x)
                assert np.array_equal(ours.rows[split][1], y)


def test_dense_is_normalised(written: Path) -> None:
    x = together(list(raw(written).blocks(None))[:2], "train")[0]
    dense = raw(written).dense(x)
    assert dense.dtype == np.float32
    expected = (x / 255 - np.array(MEAN)) / np.array(DEVIATION)
    np.testing.assert_allclose(dense, expected, atol=2e-6)


def test_generated_archives_are_the_same_every_time(written: Path, tmp_path: Path) -> None:
    SMALL.write(tmp_path / "again")
    for name in (TRAIN, VALID, DEVKIT):
        assert (tmp_path / "again" / name).read_bytes() == (written / name).read_bytes()


def test_missing_files_are_named_together(tmp_path: Path) -> None:
    (tmp_path / VALID).write_bytes(b"short")
    with pytest.raises(DataError) as caught:
        ImageNet(tmp_path).check()
    said = str(caught.value)
    assert f"{tmp_path / TRAIN} is missing (147,897,477,120 bytes, MD5 1d675b47" in said
    assert f"{tmp_path / VALID} has 5 bytes, not 6,744,924,160" in said
    assert f"{tmp_path / DEVKIT} is missing" in said
    assert "image-net.org" in said
    assert "Fashion-MNIST" in said


def rebuilt(path: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> None:
    """A tar whose members went through a function."""
    found = []
    with tarfile.open(path) as archive:
        for info in archive:
            file = archive.extractfile(info)
            assert file is not None
            changed = change(info.name, file.read())
            if changed:
                found.append(changed)
    with tarfile.open(path, "w") as archive:
        for name, content in found:
            add(archive, name, content)


def test_damaged_images_are_left_out(copy: Path) -> None:
    def spoil(name: str, content: bytes) -> tuple[str, bytes]:
        if "00000003" in name:
            return name, content[: len(content) // 2]
        return name, b"no image" if "00000030" in name else content

    rebuilt(copy / VALID, spoil)
    blocks = list(raw(copy).blocks(None))
    rejected = [each for block in blocks for each in block.rejected]
    assert len(together(blocks, "valid")[1]) == 4 * 9 - 2
    assert [each.file for each in rejected] == [str(copy / VALID)] * 2
    for each, number in zip(rejected, (3, 30), strict=True):
        assert f"ILSVRC2012_val_{number:08d}.JPEG at offset " in each.where
        assert each.why.startswith("cannot be decoded (")


def whole(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        list(raw(folder).blocks(None))
    return str(caught.value)


@pytest.mark.parametrize("kept", [0.9, 0.37, 0.05])
@pytest.mark.parametrize("name", [TRAIN, VALID])
def test_a_truncated_tar_is_named_with_its_offset(copy: Path, name: str, kept: float) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: int(kept * len(content))])
    said = whole(copy)
    assert str(copy / name) in said
    assert "offset" in said


def test_a_tar_cut_between_members_is_named(copy: Path) -> None:
    with (copy / VALID).open("rb") as file:
        third = list(members(file, copy / VALID))[2]
    content = (copy / VALID).read_bytes()
    (copy / VALID).write_bytes(content[: third.offset - 512])
    assert f"{copy / VALID} is cut short or damaged at offset {third.offset - 512}" in whole(copy)


def test_strange_classes_are_named(copy: Path) -> None:
    rebuilt(copy / TRAIN, lambda name, x: (name.replace("n00001037", "n07777777"), x))
    assert f"{copy / TRAIN}: n07777777.tar at offset" in (said := whole(copy))
    assert "not one of the 4 classes" in said


def test_a_missing_class_is_named(copy: Path) -> None:
    rebuilt(copy / TRAIN, lambda name, x: None if "n00001037" in name else (name, x))
    assert f"{copy / TRAIN} has 3 classes, {DEVKIT} 4: n00001037 is missing" in whole(copy)


def test_a_missing_validation_image_is_named(copy: Path) -> None:
    rebuilt(copy / VALID, lambda name, x: None if "00000007" in name else (name, x))
    assert f"{copy / VALID} has 35 images, {DEVKIT} 36 labels: number 7 is missing" in whole(copy)


def test_a_validation_image_that_comes_twice_is_named(copy: Path) -> None:
    rebuilt(copy / VALID, lambda name, x: (name.replace("00000007", "00000008"), x))
    assert "ILSVRC2012_val_00000008.JPEG comes twice, again at offset" in whole(copy)


def test_an_image_without_label_is_named(copy: Path) -> None:
    rebuilt(copy / VALID, lambda name, x: (name.replace("00000007", "00000099"), x))
    assert "ILSVRC2012_val_00000099.JPEG at offset" in whole(copy)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (b"1\n", b"9\n", "is no class of 1..4"),
        (b"ground_truth", b"ground_ruth", "has no data/ILSVRC2012_validation_ground_truth"),
        (b"num_children", b"num_childrem", "is not a list of synsets"),
    ],
)
def test_a_damaged_kit_is_named(copy: Path, old: bytes, new: bytes, complaint: str) -> None:
    def spoil(name: str, content: bytes) -> tuple[str, bytes]:
        return name.replace(old.decode(), new.decode()), content.replace(old, new, 1)

    path = copy / DEVKIT
    path.write_bytes(gzip.decompress(path.read_bytes()))
    rebuilt(path, spoil)
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError, match=f"{path}.*{complaint}"):
        Devkit.read(path)


def test_a_kit_that_is_no_archive_is_named(copy: Path) -> None:
    (copy / DEVKIT).write_bytes(b"nothing")
    assert f"{copy / DEVKIT} cannot be read" in whole(copy)


def test_records_have_the_side_that_is_asked_for(written: Path) -> None:
    other = replace(raw(written), side=10)
    assert next(iter(other.blocks(None))).rows["train"][0].shape == (8, 10, 10, 3)
    assert other.info.input_shape == (10, 10, 3)
    assert other.info.class_names[1] == "n00001037 grating 3"


def test_a_real_set_goes_the_same_way(tmp_path: Path) -> None:
    """Fashion-MNIST as lossless images in ImageNet's archives: the same pixels come out."""
    kit = Images(classes=10, train=1, valid=3)
    kit.write(tmp_path / "raw")
    devkit = Devkit.read(tmp_path / "raw" / DEVKIT)
    source = FashionMnist()
    with source.open("valid", tmp_path) as reader:
        x, y = reader.take(np.arange(300, dtype=np.int64))
    grey = np.round(x[..., 0] * 255).astype(np.uint8)
    of_class = [grey[y == label] for label in range(10)]
    with tarfile.open(tmp_path / "raw" / TRAIN, "w") as archive:
        for label, wnid in enumerate(devkit.wnids):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as images:
                for index, pixels_ in enumerate(of_class[label]):
                    add(images, f"{wnid}_{index}.JPEG", lossless(pixels_))
            add(archive, f"{wnid}.tar", inner.getvalue())
    with tarfile.open(tmp_path / "raw" / VALID, "w") as archive:
        for number, label in enumerate(devkit.truth, 1):
            add(archive, f"ILSVRC2012_val_{number:08d}.JPEG", lossless(of_class[label][0]))
    blocks = list(ImageNet(tmp_path / "raw", 28, sizes=()).blocks(None))
    found, labels = together(blocks, "train")
    assert np.array_equal(found, np.repeat(np.concatenate(of_class)[..., None], 3, axis=-1))
    assert labels.tolist() == sorted(y.tolist())
    assert together(blocks, "valid")[1].tolist() == list(devkit.truth)


def lossless(pixels_: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels_).save(out, "PNG")
    return out.getvalue()
