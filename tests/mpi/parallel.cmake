ferry_mpi_test(parallel_mpi_test SOURCES mpi/agree_mpi_test.cpp mpi/group_mpi_test.cpp
  mpi/groups_beside_mpi_test.cpp mpi/session_mpi_test.cpp support/cpu_device.cpp LIBS ferry::parallel)
ferry_mpi_test(parallel_divided_mpi_test SOURCES mpi/divided_mpi_test.cpp LIBS ferry::parallel RANKS 2 4)
ferry_mpi_test(parallel_send_recv_mpi_test SOURCES mpi/send_recv_mpi_test.cpp LIBS ferry::parallel
  RANKS 1 2 3 4)
ferry_mpi_test(parallel_pieces_mpi_test SOURCES mpi/exchange_mpi_test.cpp mpi/pieces_mpi_test.cpp support/cpu_device.cpp
  LIBS ferry::parallel RANKS 1 2 3 5)
ferry_mpi_test(parallel_copy_mpi_test SOURCES mpi/copy_check_mpi_test.cpp mpi/copy_group_mpi_test.cpp
  support/cpu_device.cpp LIBS ferry::parallel RANKS 1 2 3 4)
# Nodes that are made up, in an order that is not MPI's.
ferry_mpi_test(parallel_nodes_mpi_test SOURCES mpi/nodes_mpi_test.cpp LIBS ferry::parallel RANKS 3 4)
set_property(TEST parallel_nodes_mpi_test_3 APPEND PROPERTY ENVIRONMENT FERRY_TEST_NODES=0,1,0)
set_property(TEST parallel_nodes_mpi_test_4 APPEND PROPERTY ENVIRONMENT FERRY_TEST_NODES=1,0,1,0)
