ferry_mpi_test(parallel_gpu_test SOURCES gpu/parallel_gpu_test.cpp mpi/copy_group_mpi_test.cpp
  mpi/exchange_mpi_test.cpp mpi/groups_beside_mpi_test.cpp mpi/pieces_mpi_test.cpp
  support/gpu_device.cpp LIBS ferry::parallel LABELS gpu)
