/*
 * Faults on purpose: one call that the library makes - of OpenCL, for memory, of files - fails, and every
 * object that was made or retained and not given back is counted.
 *
 * The mechanism is the linker's --wrap: of all that is linked into a test program, the static library with
 * it, calls of clFinish() go to __wrap_clFinish() in faults.c, which knows the true one as
 * __real_clFinish(). Chosen because it sees the library's calls and no others: a driver, the OpenCL
 * loader, cmocka and a sanitizer's runtime are shared libraries, whose malloc() stays what it is, which an
 * interposed malloc() or an ICD layer (it has no malloc) cannot do. A program that links oclin_test_faults
 * has it; test_faults_coverage.c proves that no call of the library is missing.
 */
#ifndef OCLIN_TESTS_FAULTS_H
#define OCLIN_TESTS_FAULTS_H

#include <stdint.h>

#include "oclin.h"
#include "core/opencl.h"

/* Which calls are meant. */
enum {
    FAULT_CL = 1,
    FAULT_MEMORY = 2,
    FAULT_FILE = 4,
    FAULT_ANY = 7,
    FAULT_INFO = 8 /* clGet...Info() alone */
};

/* What a call does that is to fail. */
enum fault_how {
    FAULT_BEFORE, /* nothing but say so */
    FAULT_AFTER, /* all that it should, and then say so: the failure of a command that has run, or arrived late. A call
                     that makes an object does nothing; clCreateProgramWithBinary() makes one whose status is the failure */
    FAULT_LIE /* of FAULT_INFO: zeros, and CL_SUCCESS */
};

/* From now on the nth call (0 is the next) among those of `kinds` fails, once, and has no other effect on
 * the counts than to be counted. OpenCL's answer `code`; the others NULL, a short count, or as their
 * manuals say. */
void faults_fail(unsigned kinds, int64_t nth, cl_int code, enum fault_how how);
/* The same for the nth call of this name. */
void faults_fail_call(const char *name, int64_t nth, cl_int code, enum fault_how how);
/* No call fails any more; those of `kinds` are counted from 0 on. */
void faults_count(unsigned kinds);
/* No call fails any more, none is counted. The number since the last of the three above. */
int64_t faults_end(void);
/* The name of the nth of them; NULL: there was none, or n is beyond the first thousands. */
const char *faults_called(int64_t n);
/* The name of the call that failed since then; NULL: none did. */
const char *faults_failed(void);
/* That of the wrapped call before it; "" if there was none. */
const char *faults_before(void);
/* How often it was called since the program began. */
int64_t faults_calls(const char *name);

/* References taken and not given back, by the library and by the test, since the program began. */
enum alive {
    ALIVE_CONTEXT,
    ALIVE_QUEUE,
    ALIVE_PROGRAM,
    ALIVE_KERNEL,
    ALIVE_BUFFER,
    ALIVE_EVENT,
    ALIVE_DEVICE,
    ALIVE_FILE,
    ALIVE_MEMORY, /* pieces of host memory */
    ALIVE_KINDS
};
int64_t faults_alive(enum alive kind);
const char *faults_alive_name(enum alive kind);
/* All of OpenCL's. */
int64_t faults_alive_cl(void);

/* Not 0: a text that was built before with the same options in the same cl_context is not compiled again,
 * the program stands for the one that was kept: a text takes 50 ms, and contexts are made by the thousand.
 * 0: those kept are given back. */
void faults_keep_builds(int on);

/* The library's clock moves by so much at each look, and by nothing else: what is measured takes the same
 * number of calls each time. 0: the true one. */
void faults_clock(double step);
/* It says what this function does; NULL: as above. */
void faults_clock_of(double (*now)(void));

#endif
