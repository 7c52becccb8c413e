add_library(ferry_offload_toy STATIC unit/offload_counting.cpp unit/offload_dit.cpp unit/offload_toy.cpp)
target_link_libraries(ferry_offload_toy PUBLIC ferry::offload ferry_test_support)
ferry_test(offload_test SOURCES unit/offload_arena_test.cpp unit/offload_async_test.cpp unit/offload_counting_test.cpp
  unit/offload_expectations_test.cpp unit/offload_failure_test.cpp unit/offload_fit_test.cpp unit/offload_huge_pages_test.cpp unit/offload_layout_test.cpp
  unit/offload_least_share_test.cpp unit/offload_link_test.cpp unit/offload_module_config_test.cpp unit/offload_need_test.cpp unit/offload_parts_test.cpp
  unit/offload_pin_order_test.cpp unit/offload_pin_test.cpp unit/offload_plan_test.cpp
  unit/offload_placement_test.cpp unit/offload_scopes_test.cpp unit/offload_sequential_test.cpp unit/offload_share_trials_test.cpp unit/offload_shares_test.cpp
  unit/offload_stage_test.cpp
  LIBS ferry_offload_toy)
# The race that ThreadSanitizer has to find, and the same program without it.
if(FERRY_SANITIZE STREQUAL "thread")
  add_executable(offload_race support/offload_race.cpp)
  target_link_libraries(offload_race PRIVATE ferry_offload_toy)
  add_test(NAME offload_race_clean COMMAND offload_race)
  add_test(NAME offload_race_planted COMMAND offload_race --plant)
  set_tests_properties(offload_race_clean offload_race_planted PROPERTIES TIMEOUT 120
    ENVIRONMENT "${FERRY_TEST_ENV}")
  set_tests_properties(offload_race_planted PROPERTIES
    PASS_REGULAR_EXPRESSION "WARNING: ThreadSanitizer: data race.*annotate_read")
endif()
