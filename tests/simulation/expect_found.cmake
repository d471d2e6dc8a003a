# Runs PROGRAM, the simulation over a protocol with a planted bug, and fails unless a seed found it
# (exit code 1, so not by a crash), and by INVARIANT.
execute_process(COMMAND ${PROGRAM} --seed 1 --count 4000
  RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT code EQUAL 1)
  message(FATAL_ERROR "the mutant ended with ${code}, not with a broken invariant:\n${output}")
endif()
if(NOT output MATCHES "invariant (${INVARIANT})")
  message(FATAL_ERROR "the mutant was found, but not by ${INVARIANT}:\n${output}")
endif()
