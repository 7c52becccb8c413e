include(FerryParity)
ferry_parity_test(dit_parity PROBE parity/dit_probe.cpp SCRIPT parity/dit_parity.py GPU)
