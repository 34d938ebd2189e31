/* Selects OpenCL 1.2, which is all that oclin needs: newer names are not declared, and older ones are not
 * deprecated. If an enclosing project wants another version, that concerns its own files only. */
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
