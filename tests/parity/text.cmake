include(FerryParity)
ferry_parity_test(text_parity PROBE parity/text_probe.cpp SCRIPT parity/text_parity.py GPU)
