ferry_mpi_test(vae_mpi_test SOURCES mpi/vae_mpi_test.cpp unit/vae_reference.cpp support/cpu_device.cpp
  LIBS ferry_test_support RANKS 1 2 3 4 TIMEOUT 300)
