include(FerryParity)
ferry_parity_test(checkpoint_parity PROBE parity/checkpoint_probe.cpp SCRIPT parity/checkpoint_parity.py)
