ferry_test(dit_test SOURCES unit/dit_golden_test.cpp LIBS ferry_test_support)
