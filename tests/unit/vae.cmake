ferry_test(vae_test SOURCES unit/vae_activations_test.cpp unit/vae_decode_test.cpp unit/vae_golden_test.cpp unit/vae_parts_test.cpp unit/vae_reference.cpp
  support/cpu_device.cpp LIBS ferry_test_support)
