/* OpenCL 1.2, which is all that oclin needs: newer names are not there, and older ones are not deprecated.
 * Whatever version a project around this one wants is for that project's files. */
#ifndef OCLIN_OPENCL_H
#define OCLIN_OPENCL_H

#undef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#ifdef __APPLE__
#include <OpenCL/opencl.h>
#else
#include <CL/cl.h>
#endif

#endif
