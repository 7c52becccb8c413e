ferry_mpi_test(dit_mpi_test SOURCES mpi/dit_mpi_test.cpp support/cpu_device.cpp LIBS ferry_test_support TIMEOUT 300)
ferry_mpi_test(dit_uneven_mpi_test SOURCES mpi/dit_uneven_mpi_test.cpp support/cpu_device.cpp
  LIBS ferry_test_support TIMEOUT 300 RANKS 3 5 8)
