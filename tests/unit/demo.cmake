# The judge of what the small model draws, and the program that evaluate.py runs.
add_library(ferry_demo_judge STATIC support/demo_judge.cpp)
target_link_libraries(ferry_demo_judge PUBLIC ferry::checkpoint)
ferry_test(demo_judge_test SOURCES unit/demo_judge_test.cpp LIBS ferry_demo_judge)
add_executable(demo_judge support/demo_judge_program.cpp)
target_link_libraries(demo_judge PRIVATE ferry_demo_judge)
