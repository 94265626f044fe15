"""Tests that DICOM radiographs are shown as their header says, or refused in one sentence."""

import contextlib
import importlib.util
import io
import random

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate

from imaxray import dicom, radiograph
from imaxray.errors import ImaxrayError

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
DEEP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def grey(path):
    pixels = radiograph.load(path)
    assert pixels.dtype == np.uint8
    assert radiograph.size(path) == pixels.shape[::-1]
    return pixels


def test_eight_bit_is_left_alone(tmp_path, write_dicom):
    np.testing.assert_array_equal(grey(write_dicom(tmp_path / "a.dcm", RAMP)), RAMP)


def test_monochrome1_is_turned(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", RAMP, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(grey(path), 255 - RAMP)


def test_deep_pixels_without_a_window_fill_the_range(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", DEEP + 100, BitsStored=13, HighBit=12)
    np.testing.assert_array_equal(grey(path), np.rint(DEEP * (255 / 4095)))


def linear(x, center, width):
    """PS3.3 C.11.2.1.2.1 as it is printed there."""
    x = x.astype(float)
    y = ((x - (center - 0.5)) / (width - 1) + 0.5) * 255
    y[x <= center - 0.5 - (width - 1) / 2] = 0
    y[x > center - 0.5 + (width - 1) / 2] = 255
    return np.rint(y)


def test_the_window_is_applied(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", DEEP, BitsStored=12, HighBit=11,
                       WindowCenter=[2000, 1], WindowWidth=[1000, 1])  # fmt: skip
    np.testing.assert_array_equal(grey(path), linear(DEEP, 2000, 1000))
    # a window that no pixel reaches the ends of must not be stretched
    few = np.full((4, 4), 2000, dtype=np.uint16)
    few[0, 0] = 2100
    path = write_dicom(tmp_path / "b.dcm", few, WindowCenter=2000, WindowWidth=1000)
    np.testing.assert_array_equal(grey(path), linear(few, 2000, 1000))


@pytest.mark.parametrize(("slope", "intercept"), [(2, -1000), (-1, 4095), (0.5, 0)])
def test_the_window_is_in_rescaled_units(tmp_path, write_dicom, slope, intercept):
    path = write_dicom(tmp_path / "a.dcm", DEEP, BitsStored=12, HighBit=11, RescaleSlope=slope,
                       RescaleIntercept=intercept, WindowCenter=900, WindowWidth=700)  # fmt: skip
    np.testing.assert_array_equal(
        grey(path), linear(DEEP.astype(float) * slope + intercept, 900, 700)
    )


def test_signed_pixels_and_a_sigmoid(tmp_path, write_dicom):
    signed = (DEEP.astype(np.int32) - 2048).astype(np.int16)
    path = write_dicom(tmp_path / "a.dcm", signed, WindowCenter=0, WindowWidth=800,
                       VOILUTFunction="SIGMOID")  # fmt: skip
    expected = 255 / (1 + np.exp(-4 * signed.astype(float) / 800))
    np.testing.assert_allclose(grey(path), expected, atol=0.51)


def test_a_voi_lut_comes_before_the_window(tmp_path, write_dicom):
    from pydicom.dataset import Dataset

    table = Dataset()
    table.LUTDescriptor = [4, 10, 16]
    table.add_new("LUTData", "US", [0, 100, 300, 400])
    pixels = np.array([[0, 10, 11], [12, 13, 99]], dtype=np.uint16)
    path = write_dicom(tmp_path / "a.dcm", pixels, VOILUTSequence=[table],
                       WindowCenter=1, WindowWidth=2)  # fmt: skip
    np.testing.assert_array_equal(grey(path), [[0, 0, 64], [191, 255, 255]])


def test_a_window_without_width_is_as_none(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", DEEP, WindowCenter=9, WindowWidth=0)
    assert (grey(path).min(), grey(path).max()) == (0, 255)


def test_padding_does_not_count_for_the_range(tmp_path, write_dicom):
    pixels = np.array([[1000, 2000], [3000, 65535]], dtype=np.uint16)
    path = write_dicom(tmp_path / "a.dcm", pixels, PixelPaddingValue=65535)
    np.testing.assert_array_equal(grey(path), [[0, 128], [255, 255]])


def test_bits_above_the_stored_ones_are_no_grey(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", DEEP | 0x8000, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(grey(path), np.rint(DEEP * (255 / 4095)))


def pillow(pixels, how, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, how, **options)
    return stream.getvalue()


ENCODED = {
    "4.50": (RAMP, lambda p: pillow(p, "JPEG", quality=95)),
    "4.51": (DEEP, lambda p: imagecodecs.jpeg_encode(p, bitspersample=12, level=98)),
    "4.57": (DEEP, lambda p: imagecodecs.jpeg_encode(p, lossless=True, bitspersample=12)),
    "4.70": (RAMP, lambda p: imagecodecs.jpeg_encode(p, lossless=True)),
    "4.90": (RAMP, lambda p: pillow(p, "JPEG2000", irreversible=False)),
    "4.91": (RAMP, lambda p: pillow(p, "JPEG2000", irreversible=True, quality_layers=[1])),
}
"""Of the releases, VinDr-CXR has JPEG lossless and JPEG 2000, RSNA JPEG baseline."""


def compressed(path, write, syntax, pixels, frame):
    tags = {"BitsStored": 12, "HighBit": 11} if pixels.dtype == np.uint16 else {}
    frames = encapsulate([frame if len(frame) % 2 == 0 else frame + b"\0"])
    return write(path, pixels, frames=frames, syntax=f"1.2.840.10008.1.2.{syntax}", **tags)


@pytest.mark.parametrize("syntax", ENCODED)
def test_compressed_pixels(tmp_path, write_dicom, syntax):
    pixels, encode = ENCODED[syntax]
    path = compressed(tmp_path / "a.dcm", write_dicom, syntax, pixels, encode(pixels))
    expected = np.rint(pixels * (255 / pixels.max()))
    lossy = syntax in ("4.50", "4.51", "4.91")
    assert np.abs(grey(path) - expected).max() <= (6 if lossy else 0)


def test_signed_lossless_pixels(tmp_path, write_dicom):
    signed = (DEEP.astype(np.int32) - 2048).astype(np.int16)
    frame = imagecodecs.jpeg_encode((signed & 0xFFF).astype(np.uint16), lossless=True,
                                    bitspersample=12)  # fmt: skip
    path = write_dicom(tmp_path / "a.dcm", signed, frames=encapsulate([frame]), BitsStored=12,
                       HighBit=11, syntax="1.2.840.10008.1.2.4.70")  # fmt: skip
    np.testing.assert_array_equal(grey(path), np.rint(DEEP * (255 / 4095)))


@pytest.mark.parametrize("syntax", ENCODED)
def test_damaged_compressed_pixels_are_one_sentence(tmp_path, write_dicom, syntax):
    pixels, encode = ENCODED[syntax]
    whole, chance = encode(pixels), random.Random(3)
    for _ in range(40):
        frame = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            frame[chance.randrange(min(len(frame), 120))] = chance.randrange(256)
        if chance.random() < 0.3:
            del frame[chance.randrange(2, len(frame)) :]
        path = compressed(tmp_path / "a.dcm", write_dicom, syntax, pixels, bytes(frame))
        with contextlib.suppress(ImaxrayError):
            grey(path)


@pytest.mark.parametrize("name", ["a.dcm", "b.dicom", "c", "d.png"])
def test_the_preamble_counts_and_not_the_name(tmp_path, write_dicom, name):
    np.testing.assert_array_equal(grey(write_dicom(tmp_path / name, RAMP)), RAMP)


def test_a_data_set_without_preamble(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", RAMP, bare=True)
    assert not dicom.has_preamble(path)
    np.testing.assert_array_equal(grey(path), RAMP)


def test_the_header_says(tmp_path, write_dicom):
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeMeaning = "postero-anterior"
    path = write_dicom(tmp_path / "a.dcm", RAMP[:8], PatientSex="F", PatientAge="018M",
                       ViewCodeSequence=[code], BodyPartExamined="CHEST")  # fmt: skip
    header = dicom.read_header(path)
    assert (header.width, header.height, header.frames, header.pixels) == (16, 8, 1, True)
    assert (header.view, header.sex, header.age) == ("PA", "F", 1)
    assert (header.patient, header.study, header.body_part) == ("P1", "1.2.3", "CHEST")
    for text, age in {"045Y": 45, "130Y": None, "": None, "003W": 0, "010D": 0}.items():
        header = dicom.read_header(write_dicom(tmp_path / "b.dcm", RAMP, PatientAge=text))
        assert header.age == age
    header = dicom.read_header(write_dicom(tmp_path / "b.dcm", RAMP, ViewPosition="LL"))
    assert header.view == "LL"


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"NumberOfFrames": 3}, "multi-frame"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "not-greyscale"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "not-greyscale"),
        ({"PixelData": None}, "no-pixels"),
        ({"Rows": 0}, "no-pixels"),
        ({"Rows": 60000, "Columns": 60000}, "too-large"),
    ],
)
def test_what_is_no_radiograph_has_a_code(tmp_path, write_dicom, tags, code):
    path = write_dicom(tmp_path / "a.dcm", RAMP, **tags)
    fault = dicom.problem(dicom.read_header(path), radiograph.MAX_PIXELS)
    assert fault is not None and fault[0] == code
    with pytest.raises(ImaxrayError, match="one readable greyscale image"):
        radiograph.load(path)


def test_a_syntax_nobody_decodes(tmp_path, write_dicom):
    path = write_dicom(tmp_path / "a.dcm", RAMP, frames=encapsulate([b"\0" * 64]),
                       syntax="1.2.840.10008.1.2.4.100")  # fmt: skip
    fault = dicom.problem(dicom.read_header(path), 10**6)
    assert fault is not None and fault[0] == "no-decoder" and "4.100" in fault[1]


def test_damage_is_one_sentence(tmp_path, write_dicom):
    whole = write_dicom(tmp_path / "a.dcm", DEEP, PatientAge="045Y").read_bytes()
    path = tmp_path / "b.dcm"
    chance = random.Random(0)
    read = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 12)):
            data[chance.randrange(132, 700)] = chance.randrange(256)
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        path.write_bytes(data)
        for look in (radiograph.size, radiograph.load):
            try:
                look(path)
                read += 1
            except ImaxrayError:
                pass
    assert 0 < read < 600


@pytest.mark.parametrize("content", [b"", b"no image", b"\0" * 500, b"\0" * 128 + b"DICM"])
def test_what_is_no_dicom(tmp_path, content):
    path = tmp_path / "a.dcm"
    with pytest.raises(ImaxrayError):
        radiograph.size(path)
    path.write_bytes(content)
    for look in (radiograph.size, radiograph.load):
        with pytest.raises(ImaxrayError):
            look(path)


def test_without_pydicom_the_sentence_names_the_extra(tmp_path, write_dicom, monkeypatch):
    path = write_dicom(tmp_path / "a.dcm", RAMP)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImaxrayError, match=r"imaxray\[dicom\]"):
        radiograph.load(path)
