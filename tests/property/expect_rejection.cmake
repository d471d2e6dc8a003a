# Runs PROGRAM, a property test linked with the mutant kernels, and fails unless the test ran to its
# end, failed (exit code 1, so not by a crash), and did so because of bits.
execute_process(COMMAND ${PROGRAM} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT code EQUAL 1)
  message(FATAL_ERROR "the mutant ended with ${code}, not with a failed test:\n${output}")
endif()
if(NOT output MATCHES "has other bits")
  message(FATAL_ERROR "the mutant was rejected, but not because of its bits:\n${output}")
endif()
