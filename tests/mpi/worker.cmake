ferry_mpi_test(worker_generate_mpi_test SOURCES mpi/worker_generate_mpi_test.cpp mpi/worker_load_mpi_test.cpp
  LIBS ferry::worker ferry_test_support
  TIMEOUT 300)
ferry_mpi_test(worker_finite_mpi_test SOURCES mpi/worker_finite_mpi_test.cpp LIBS ferry::worker ferry_test_support
  TIMEOUT 300)
