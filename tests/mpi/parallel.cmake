ferry_mpi_test(parallel_mpi_test SOURCES mpi/group_mpi_test.cpp mpi/groups_beside_mpi_test.cpp
  mpi/session_mpi_test.cpp support/cpu_device.cpp LIBS ferry::parallel)
