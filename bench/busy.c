/* Who else uses the machine: times taken beside a busy neighbour are no times. Linux tells, other systems do not. */
#define _XOPEN_SOURCE 700

#include "bench.h"

#include <sys/resource.h>
#include <unistd.h>

/* Seconds that all cores together were not idle, stolen ones among them; -1: not known. */
static double all_seconds(void)
{
    /* user nice system idle iowait irq softirq steal; guests are counted in user */
    double t[8] = {0.0};
    FILE *file = fopen("/proc/stat", "r");
    if (!file) return -1.0;
    const int n = fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &t[0], &t[1], &t[2], &t[3], &t[4],
                         &t[5], &t[6], &t[7]);
    fclose(file);
    return n < 4 ? -1.0 : (t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) / (double)sysconf(_SC_CLK_TCK);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

struct busy busy_now(void)
{
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    return (struct busy){now_ms() * 1e-3, all_seconds(), seconds(own.ru_utime) + seconds(own.ru_stime)};
}

double busy_others(const struct busy *since)
{
    const struct busy now = busy_now();
    const double span = now.at - since->at;
    if (since->all < 0.0 || now.all < 0.0 || span <= 0.0) return -1.0;
    const double others = ((now.all - since->all) - (now.own - since->own)) / span;
    return others > 0.0 ? others : 0.0;
}
