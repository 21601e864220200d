import pytest

from training_app.costs.hardware import GPUS, UnknownGpu, gpu_by_name


def test_a_name_is_found_whatever_its_case():
    assert gpu_by_name(" H200 ").name == "h200"


def test_an_unknown_one_is_refused_with_those_that_there_are():
    with pytest.raises(UnknownGpu, match=r"There is no GPU “tpu” in the table\. There are: .*h100, h200"):
        gpu_by_name("tpu")


@pytest.mark.parametrize("gpu", GPUS.values(), ids=list(GPUS))
def test_every_one_names_its_source(gpu):
    assert "NVIDIA" in gpu.source
    assert gpu.bf16_tflops > 0
    assert gpu.memory_gb > 0
    assert gpu.watts > 0
