ferry_test(sampler_test SOURCES unit/sampler_schedule_test.cpp unit/sampler_test.cpp LIBS ferry_test_support)
