add_library(ferry_offload_toy STATIC unit/offload_counting.cpp unit/offload_dit.cpp unit/offload_toy.cpp)
target_link_libraries(ferry_offload_toy PUBLIC ferry::offload ferry_test_support)
ferry_test(offload_test SOURCES unit/offload_arena_test.cpp unit/offload_async_test.cpp unit/offload_expectations_test.cpp unit/offload_layout_test.cpp
  unit/offload_module_config_test.cpp unit/offload_need_test.cpp unit/offload_sequential_test.cpp unit/offload_stage_test.cpp
  LIBS ferry_offload_toy)
