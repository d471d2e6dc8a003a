# Runs PROGRAM, the simulation over a protocol with a planted bug, and fails unless a seed found it by
# INVARIANT (exit code 1, so not by a crash); or, where INVARIANT is "check", by one of the protocol's
# own checks.
execute_process(COMMAND ${PROGRAM} --seed 1 --count 4000
  RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(INVARIANT STREQUAL "check")
  if(code EQUAL 0 OR NOT output MATCHES "check failed: ")
    message(FATAL_ERROR "the mutant ended with ${code}, not with a failed check:\n${output}")
  endif()
  return()
endif()
if(NOT code EQUAL 1)
  message(FATAL_ERROR "the mutant ended with ${code}, not with a broken invariant:\n${output}")
endif()
if(NOT output MATCHES "invariant (${INVARIANT})")
  message(FATAL_ERROR "the mutant was found, but not by ${INVARIANT}:\n${output}")
endif()
