#include "batchnorm_cases.h"

int main(void) {
    return run_batchnorm("op/batchnorm", false);
}
