// GOSSAMER_KERNEL before a function builds it for three instruction sets; the loader picks one for
// the machine. Without fused multiply-adds all three give the same bits. Sanitizers start after the
// loader's choice, so their builds take the baseline.
#pragma once

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__clang__)
#define GOSSAMER_CLONES 1
#define GOSSAMER_KERNEL \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define GOSSAMER_KERNEL
#endif
