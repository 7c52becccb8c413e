include(FerryParity)
ferry_parity_test(sampler_parity PROBE parity/sampler_probe.cpp SCRIPT parity/sampler_parity.py GPU)
