# Runs at each build: OUTPUT (a .cpp) is touched only when the commit has changed.
#   cmake -D SOURCE=<repository> -D VERSION=<x.y.z> -D TEMPLATE=<in> -D OUTPUT=<out> -P git_commit.cmake
find_package(Git QUIET)
set(FERRY_GIT unknown)
if(Git_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} describe --always --abbrev=12 --dirty=+ --exclude=*
    OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(FERRY_GIT ${described})
  endif()
endif()
set(FERRY_VERSION ${VERSION})
configure_file(${TEMPLATE} ${OUTPUT} @ONLY)
