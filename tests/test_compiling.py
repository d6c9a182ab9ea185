import pytest
import tensorflow as tf

from cross_modal import compiling

SLOW, FAST = "flags\t\t: fpu avx avx2 avx512f\n", "flags\t\t: fpu avx2 avx512_bf16 amx_tile\n"


def _device(monkeypatch, tmp_path, said, kind=None, capability=None):
    """A machine whose processor says something of itself, with an accelerator or without."""
    (tmp_path / "cpuinfo").write_text(said)
    monkeypatch.setattr(compiling, "_PROCESSOR", tmp_path / "cpuinfo")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda asked: ["one"] if asked == kind else [])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: {"compute_capability": capability} if capability else {})


@pytest.mark.parametrize("said, kind, capability, fast", [
    (SLOW, None, None, False), (FAST, None, None, True), ("Features\t: fp asimd bf16\n", None, None, True), ("", None, None, False),
    (SLOW, "TPU", None, True), (SLOW, "GPU", (9, 0), True), (FAST, "GPU", (7, 5), False), (SLOW, "GPU", None, True),
])  # fmt: skip
def test_half_precision_where_it_is_fast(monkeypatch, tmp_path, capsys, said, kind, capability, fast):
    _device(monkeypatch, tmp_path, said, kind, capability)
    assert compiling.precision_for("auto") == ("mixed_bfloat16" if fast else "float32")
    assert compiling.precision_for("float32") == "float32" and not capsys.readouterr().out
    assert compiling.precision_for("mixed_bfloat16") == "mixed_bfloat16"
    assert ("no instructions for it" in capsys.readouterr().out) != fast


def test_where_nothing_is_said_of_the_processor(monkeypatch, tmp_path):
    _device(monkeypatch, tmp_path, FAST)
    monkeypatch.setattr(compiling, "_PROCESSOR", tmp_path / "none")
    assert compiling.precision_for("auto") == "float32"
