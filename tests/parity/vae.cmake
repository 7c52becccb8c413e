include(FerryParity)
ferry_parity_test(vae_parity PROBE parity/vae_probe.cpp SCRIPT parity/vae_parity.py GPU)
