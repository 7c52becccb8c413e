ferry_mpi_test(offload_mpi_test SOURCES mpi/offload_arena_mpi_test.cpp mpi/offload_async_mpi_test.cpp
  mpi/offload_dit_mpi_test.cpp support/cpu_device.cpp LIBS ferry_offload_toy TIMEOUT 300)
ferry_mpi_test(offload_shares_mpi_test SOURCES mpi/offload_shares_mpi_test.cpp mpi/offload_way_mpi_test.cpp
  support/cpu_device.cpp LIBS ferry_offload_toy TIMEOUT 300)
ferry_mpi_test(offload_auto_mpi_test SOURCES mpi/offload_auto_mpi_test.cpp LIBS ferry_offload_toy TIMEOUT 300)
