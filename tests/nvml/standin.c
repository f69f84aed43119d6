/* Stands in for libnvidia-ml.so.1 in tests. Values come from a text file named by $FAKE_NVML_STATE
 *, re-read whenever its mtime/inode/size changes, so a test can
 * rewrite it (write tmp + rename) while a client runs. Lines are "key value...":
 *   driver 570.124.06            cuda 12080            count 2
 *   gpu0.name NVIDIA H100 80GB HBM3     gpu0.temp 54    gpu0.util 97   gpu0.memutil 40
 *   gpu0.mem_total 85520809984   gpu0.mem_used 71000000000 gpu0.mem_reserved 600000000
 *   gpu0.power 612000 (mW)       gpu0.power_limit 700000  gpu0.sm 1980  gpu0.memclk 2619
 *   gpu0.reasons 0x4             gpu0.ecc_corr 0  gpu0.ecc_uncorr 0  gpu0.pcie_tx 1000 (KB/s) gpu0.pcie_rx ..
 *   gpu0.proc0 PID USED_BYTES TYPE(C|G|M) SM_UTIL MEM_UTIL
 *   gpu0.ret.nvmlDeviceGetTemperature 15   -> that call returns code 15 for gpu0 (3 = not supported)
 *   gpu0.lost 1 -> every call on gpu0 returns 15 (GPU_IS_LOST);  init_ret 9 -> nvmlInit fails (DRIVER_NOT_LOADED)
 *   delay_ms 3000 -> every device call sleeps first;  hang 1 -> every device call waits until hang is 0 again
 *   all_ret 9 -> every device call returns 9 (the driver went away);  gpu0.handle_ret 15 -> no handle for gpu0
 *   xid SEQ GPU CODE -> event on a new SEQ;  wait_ret 999 -> waiting for events fails
 *   gpu0.retired_sbe 2  gpu0.retired_dbe 1 -> retired pages by cause (absent: not supported)
 *   gpu0.mig 1  gpu0.migs 2  gpu0.mig0.uuid MIG-..  gpu0.mig0.mem_used ..  gpu0.mig0.proc0 .. -> MIG instances
 * $FAKE_NVML_TRACE: a file to which nvmlInit, nvmlShutdown and the making and freeing of event sets add their names.
 * Built with -DOLD_DRIVER it lacks the functions that drivers before 2022 lack (v3 processes, v2 memory, ...). */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#define API __attribute__((visibility("default")))
#define OK 0
#define UNINIT 1
#define INVALID 2
#define NOTSUP 3
#define NOTFOUND 6
#define SMALL 7
#define TIMEOUT 10
#define LOST 15
#define VERMISMATCH 25
#define MAXGPU 16
#define MAXKEY 4096
typedef struct { char k[64], v[160]; } kv;
#define MAXMIG 8
typedef struct { int idx, mig; } dev;                       /* mig: 0 for the card, else its instance number + 1 */
static dev devs[MAXGPU], migs[MAXGPU][MAXMIG];
static kv tab[MAXKEY];
static int ntab, refs;
static struct stat last;
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;

static int cmp(const void *a, const void *b) { return strcmp(((const kv *)a)->k, ((const kv *)b)->k); }
static void reload(void) {                                  /* with mu held */
    const char *p = getenv("FAKE_NVML_STATE"); struct stat st; char line[256];
    if (!p) p = "fake_nvml.state";
    if (stat(p, &st)) { ntab = 0; memset(&last, 0, sizeof last); return; }
    if (st.st_ino == last.st_ino && st.st_size == last.st_size && !memcmp(&st.st_mtim, &last.st_mtim, sizeof st.st_mtim)) return;
    FILE *f = fopen(p, "r"); if (!f) return;
    last = st; ntab = 0;
    while (ntab < MAXKEY && fgets(line, sizeof line, f)) {
        char *k = strtok(line, " \t\n"), *v = strtok(NULL, "\n");
        if (!k || *k == '#') continue;
        while (v && *v == ' ') v++;
        snprintf(tab[ntab].k, sizeof tab[0].k, "%s", k); snprintf(tab[ntab].v, sizeof tab[0].v, "%s", v ? v : ""); ntab++;
    }
    fclose(f); qsort(tab, ntab, sizeof(kv), cmp);
}
static int gets_(const char *k, char *out, size_t n) {      /* copies the value, 1 if found */
    kv key; int r = 0; snprintf(key.k, sizeof key.k, "%s", k);
    pthread_mutex_lock(&mu); reload();
    kv *e = bsearch(&key, tab, ntab, sizeof(kv), cmp); if (e) { snprintf(out, n, "%s", e->v); r = 1; }
    pthread_mutex_unlock(&mu); return r;
}
static unsigned long long num(const char *k, unsigned long long def) { char b[160]; return gets_(k, b, sizeof b) ? strtoull(b, NULL, 0) : def; }
static char *key(char *b, dev *d, const char *k) { if (d->mig) snprintf(b, 64, "gpu%d.mig%d.%s", d->idx, d->mig - 1, k); else snprintf(b, 64, "gpu%d.%s", d->idx, k); return b; }
static unsigned long long gnum(dev *d, const char *k, unsigned long long def) { char b[64]; return num(key(b, d, k), def); }
static int has(dev *d, const char *k) { char b[64], v[160]; return gets_(key(b, d, k), v, sizeof v); }
static int count(void) { unsigned long long n = num("count", 1); return n > MAXGPU ? MAXGPU : (int)n; }
/* what NVML answers for a handle of a MIG instance; all else is not supported there */
static const char mig_functions[] = "nvmlDeviceGetUUID nvmlDeviceGetName nvmlDeviceGetMemoryInfo nvmlDeviceGetMemoryInfo_v2 "
    "nvmlDeviceGetComputeRunningProcesses_v3 nvmlDeviceGetGpuInstanceId nvmlDeviceGetDeviceHandleFromMigDeviceHandle";
static int pre(dev *d, const char *fn) {                    /* every device call starts here */
    char k[96], v[160]; unsigned long long ms = num("delay_ms", 0);
    if (ms) usleep((useconds_t)(ms * 1000));
    while (num("hang", 0)) usleep(5000);
    if (!refs) return UNINIT;
    int all = (int)num("all_ret", 0);
    if (all) return all;
    int card = d >= devs && d < devs + MAXGPU, part = d >= &migs[0][0] && d < &migs[0][0] + MAXGPU * MAXMIG;
    if ((!card && !part) || d->idx >= count()) return INVALID;
    if (gnum(&devs[d->idx], "lost", 0)) return LOST;
    if (part && !strstr(mig_functions, fn)) return NOTSUP;
    snprintf(k, sizeof k, "gpu%d.ret.%s", d->idx, fn);
    return gets_(k, v, sizeof v) ? atoi(v) : OK;
}
static void trace(const char *fn) { const char *p = getenv("FAKE_NVML_TRACE"); FILE *f = p ? fopen(p, "a") : NULL; if (f) { fprintf(f, "%s\n", fn); fclose(f); } }
#define PRE(d) do { int r_ = pre(d, __func__); if (r_) return r_; } while (0)
/* a getter for one unsigned that is NOT_SUPPORTED when the key is absent */
#define UINT1(fn, k) API int fn(dev *d, unsigned *o) { PRE(d); if (!has(d, k)) return NOTSUP; *o = (unsigned)gnum(d, k, 0); return OK; }
#define STR(fn, k, def) API int fn(dev *d, char *s, unsigned n) { PRE(d); char b[64], v[160]; if (!gets_(key(b, d, k), v, sizeof v)) { if (!*def) return NOTSUP; snprintf(v, sizeof v, def, d->idx); } if (strlen(v) >= n) return SMALL; strcpy(s, v); return OK; }

API int nvmlInitWithFlags(unsigned f) { (void)f; int r = (int)num("init_ret", 0); if (r) return r; for (int i = 0; i < MAXGPU; i++) { devs[i].idx = i; for (int m = 0; m < MAXMIG; m++) migs[i][m] = (dev){i, m + 1}; } trace("nvmlInit"); __sync_fetch_and_add(&refs, 1); return OK; }
API int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
API int nvmlInit(void) { return nvmlInitWithFlags(0); }
API int nvmlShutdown(void) { if (!refs) return UNINIT; trace("nvmlShutdown"); __sync_fetch_and_sub(&refs, 1); return OK; }
API const char *nvmlErrorString(int r) { return r == OK ? "Success" : r == NOTSUP ? "Not Supported" : r == LOST ? "GPU is lost" : r == 9 ? "Driver Not Loaded" : "Fake NVML error"; }
static int sysstr(const char *k, const char *def, char *s, unsigned n) { char v[160]; if (!refs) return UNINIT; if (!gets_(k, v, sizeof v)) snprintf(v, sizeof v, "%s", def); if (strlen(v) >= n) return SMALL; strcpy(s, v); return OK; }
API int nvmlSystemGetDriverVersion(char *s, unsigned n) { return sysstr("driver", "570.124.06", s, n); }
API int nvmlSystemGetNVMLVersion(char *s, unsigned n) { return sysstr("nvml", "12.570.124.06", s, n); }
API int nvmlSystemGetCudaDriverVersion(int *v) { *v = (int)num("cuda", 12080); return OK; }
API int nvmlSystemGetCudaDriverVersion_v2(int *v) { return nvmlSystemGetCudaDriverVersion(v); }
API int nvmlDeviceGetCount_v2(unsigned *n) { if (!refs) return UNINIT; *n = (unsigned)count(); return OK; }
API int nvmlDeviceGetCount(unsigned *n) { return nvmlDeviceGetCount_v2(n); }
API int nvmlDeviceGetHandleByIndex_v2(unsigned i, dev **d) { if (!refs) return UNINIT; if ((int)i >= count()) return INVALID; int r = (int)gnum(&devs[i], "handle_ret", 0); if (r) return r; *d = &devs[i]; return OK; }
API int nvmlDeviceGetHandleByIndex(unsigned i, dev **d) { return nvmlDeviceGetHandleByIndex_v2(i, d); }
API int nvmlDeviceGetIndex(dev *d, unsigned *o) { PRE(d); *o = (unsigned)d->idx; return OK; }
STR(nvmlDeviceGetName, "name", "NVIDIA H100 80GB HBM3")
STR(nvmlDeviceGetUUID, "uuid", "GPU-00000000-fake-0000-0000-%012d")
STR(nvmlDeviceGetSerial, "serial", "165000000000%d")
STR(nvmlDeviceGetVbiosVersion, "vbios", "96.00.89.00.%02d")
API int nvmlDeviceGetHandleByUUID(const char *u, dev **d) { char b[96]; for (int i = 0; i < count(); i++) if (!nvmlDeviceGetUUID(&devs[i], b, sizeof b) && !strcmp(b, u)) { *d = &devs[i]; return OK; } return NOTFOUND; }
typedef struct { char legacy[16]; unsigned domain, bus, device, devid, subid; char busid[32]; } pci;
API int nvmlDeviceGetPciInfo_v3(dev *d, pci *p) { PRE(d); memset(p, 0, sizeof *p); p->bus = 0x1b + 0x10 * d->idx; p->devid = 0x233010de; p->subid = 0x16c110de; snprintf(p->legacy, 16, "0000:%02X:00.0", p->bus); snprintf(p->busid, 32, "00000000:%02X:00.0", p->bus); return OK; }
API int nvmlDeviceGetPciInfo_v2(dev *d, pci *p) { return nvmlDeviceGetPciInfo_v3(d, p); }
API int nvmlDeviceGetHandleByPciBusId_v2(const char *id, dev **d) { pci p; for (int i = 0; i < count(); i++) if (!nvmlDeviceGetPciInfo_v3(&devs[i], &p) && strcasestr(p.busid, id)) { *d = &devs[i]; return OK; } return NOTFOUND; }
typedef struct { unsigned long long total, free, used; } mem1;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } mem2;
API int nvmlDeviceGetMemoryInfo(dev *d, mem1 *m) { PRE(d); m->total = gnum(d, "mem_total", 85520809984ULL); m->used = gnum(d, "mem_used", 0) + gnum(d, "mem_reserved", 0); m->free = m->total - m->used; return OK; }
#ifndef OLD_DRIVER
API int nvmlDeviceGetMemoryInfo_v2(dev *d, mem2 *m) { PRE(d); if (m->version != (2u << 24 | (unsigned)sizeof(mem2))) return VERMISMATCH; m->total = gnum(d, "mem_total", 85520809984ULL); m->reserved = gnum(d, "mem_reserved", 0); m->used = gnum(d, "mem_used", 0); m->free = m->total - m->used - m->reserved; return OK; }
#endif
API int nvmlDeviceGetBAR1MemoryInfo(dev *d, mem1 *m) { PRE(d); m->total = 137438953472ULL; m->used = 0; m->free = m->total; unsigned long long t = m->free; m->free = t; m->used = 1 << 20; return OK; }
API int nvmlDeviceGetUtilizationRates(dev *d, unsigned u[2]) { PRE(d); if (!has(d, "util")) return NOTSUP; u[0] = (unsigned)gnum(d, "util", 0); u[1] = (unsigned)gnum(d, "memutil", 0); return OK; }
static int twou(unsigned a, unsigned *x, unsigned *y) { *x = a; *y = 167000; return OK; }
API int nvmlDeviceGetEncoderUtilization(dev *d, unsigned *u, unsigned *p) { PRE(d); return twou((unsigned)gnum(d, "enc", 0), u, p); }
API int nvmlDeviceGetDecoderUtilization(dev *d, unsigned *u, unsigned *p) { PRE(d); return twou((unsigned)gnum(d, "dec", 0), u, p); }
API int nvmlDeviceGetTemperature(dev *d, int s, unsigned *t) { PRE(d); if (s) return INVALID; *t = (unsigned)gnum(d, "temp", 35); return OK; }
typedef struct { unsigned version; int sensor, temp; } tempv;
API int nvmlDeviceGetTemperatureV(dev *d, tempv *t) { PRE(d); t->temp = (int)gnum(d, "temp", 35); return OK; }
API int nvmlDeviceGetTemperatureThreshold(dev *d, int which, unsigned *t) { PRE(d); *t = which == 0 ? 92 : which == 1 ? 89 : 87; return OK; }
UINT1(nvmlDeviceGetFanSpeed, "fan")
UINT1(nvmlDeviceGetPowerUsage, "power")
UINT1(nvmlDeviceGetPowerManagementLimit, "power_limit")
UINT1(nvmlDeviceGetEnforcedPowerLimit, "power_limit")
API int nvmlDeviceGetPowerManagementLimitConstraints(dev *d, unsigned *a, unsigned *b) { PRE(d); *a = 200000; *b = 700000; return OK; }
API int nvmlDeviceGetTotalEnergyConsumption(dev *d, unsigned long long *e) { PRE(d); *e = gnum(d, "energy", 1000000); return OK; }
static int clock_(dev *d, int t, unsigned *o) { *o = (unsigned)(t == 2 ? gnum(d, "memclk", 2619) : gnum(d, "sm", 1980)); return t < 0 || t > 3 ? INVALID : OK; }
API int nvmlDeviceGetClockInfo(dev *d, int t, unsigned *o) { PRE(d); return clock_(d, t, o); }
API int nvmlDeviceGetMaxClockInfo(dev *d, int t, unsigned *o) { PRE(d); *o = t == 2 ? 2619 : 1980; return OK; }
API int nvmlDeviceGetApplicationsClock(dev *d, int t, unsigned *o) { PRE(d); *o = t == 2 ? 2619 : 1980; return OK; }
#ifndef OLD_DRIVER
API int nvmlDeviceGetCurrentClocksEventReasons(dev *d, unsigned long long *r) { PRE(d); *r = gnum(d, "reasons", 0); return OK; }
#endif
API int nvmlDeviceGetCurrentClocksThrottleReasons(dev *d, unsigned long long *r) { PRE(d); *r = gnum(d, "reasons", 0); return OK; }
API int nvmlDeviceGetSupportedClocksEventReasons(dev *d, unsigned long long *r) { PRE(d); *r = 0x1ff; return OK; }
API int nvmlDeviceGetPerformanceState(dev *d, int *p) { PRE(d); *p = (int)gnum(d, "pstate", 0); return OK; }
API int nvmlDeviceGetPcieThroughput(dev *d, int c, unsigned *o) { PRE(d); *o = (unsigned)gnum(d, c ? "pcie_rx" : "pcie_tx", 0); return OK; }
API int nvmlDeviceGetCurrPcieLinkGeneration(dev *d, unsigned *o) { PRE(d); *o = (unsigned)gnum(d, "pcie_gen", 5); return OK; }
API int nvmlDeviceGetMaxPcieLinkGeneration(dev *d, unsigned *o) { PRE(d); *o = 5; return OK; }
API int nvmlDeviceGetCurrPcieLinkWidth(dev *d, unsigned *o) { PRE(d); *o = (unsigned)gnum(d, "pcie_width", 16); return OK; }
API int nvmlDeviceGetMaxPcieLinkWidth(dev *d, unsigned *o) { PRE(d); *o = 16; return OK; }
API int nvmlDeviceGetPcieReplayCounter(dev *d, unsigned *o) { PRE(d); *o = (unsigned)gnum(d, "pcie_replay", 0); return OK; }
API int nvmlDeviceGetEccMode(dev *d, int *c, int *p) { PRE(d); *c = *p = (int)gnum(d, "ecc", 1); return OK; }
API int nvmlDeviceGetTotalEccErrors(dev *d, int type, int counter, unsigned long long *o) { PRE(d); (void)counter; if (!gnum(d, "ecc", 1)) return NOTSUP; *o = gnum(d, type == 1 ? "ecc_uncorr" : "ecc_corr", 0); return OK; }
API int nvmlDeviceGetRemappedRows(dev *d, unsigned *c, unsigned *u, unsigned *p, unsigned *f) { PRE(d); *c = (unsigned)gnum(d, "remap_corr", 0); *u = (unsigned)gnum(d, "remap_uncorr", 0); *p = (unsigned)gnum(d, "remap_pending", 0); *f = (unsigned)gnum(d, "remap_failed", 0); return OK; }
API int nvmlDeviceGetPersistenceMode(dev *d, int *m) { PRE(d); *m = (int)gnum(d, "persistence", 1); return OK; }
API int nvmlDeviceGetComputeMode(dev *d, int *m) { PRE(d); *m = (int)gnum(d, "compute_mode", 0); return OK; }
API int nvmlDeviceGetDisplayMode(dev *d, int *m) { PRE(d); *m = 0; return OK; }
API int nvmlDeviceGetDisplayActive(dev *d, int *m) { PRE(d); *m = 0; return OK; }
API int nvmlDeviceGetCudaComputeCapability(dev *d, int *a, int *b) { PRE(d); *a = 9; *b = 0; return OK; }
API int nvmlDeviceGetArchitecture(dev *d, unsigned *a) { PRE(d); *a = 9; return OK; }
API int nvmlDeviceGetMigMode(dev *d, unsigned *a, unsigned *b) { PRE(d); if (!has(d, "mig")) return NOTSUP; *a = *b = (unsigned)gnum(d, "mig", 0); return OK; }
API int nvmlDeviceGetMaxMigDeviceCount(dev *d, unsigned *n) { PRE(d); *n = has(d, "mig") ? 7 : 0; return OK; }
API int nvmlDeviceGetMigDeviceHandleByIndex(dev *d, unsigned i, dev **m) { PRE(d); if (i >= gnum(d, "migs", 0) || i >= MAXMIG) return NOTFOUND; *m = &migs[d->idx][i]; return OK; }
API int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(dev *d, dev **p) { PRE(d); *p = &devs[d->idx]; return OK; }
API int nvmlDeviceGetGpuInstanceId(dev *d, unsigned *o) { PRE(d); *o = (unsigned)d->mig; return OK; }
API int nvmlDeviceIsMigDeviceHandle(dev *d, unsigned *m) { *m = d->mig != 0; return OK; }
API int nvmlDeviceGetRetiredPages(dev *d, int cause, unsigned *n, unsigned long long *out) {
    PRE(d); const char *k = cause ? "retired_dbe" : "retired_sbe"; if (!has(d, k)) return NOTSUP;
    unsigned got = (unsigned)gnum(d, k, 0), cap = *n; *n = got; if (got > cap) return SMALL;
    for (unsigned i = 0; out && i < got; i++) out[i] = 0x1000ULL * (i + 1);
    return OK;
}
API int nvmlDeviceGetNvLinkState(dev *d, unsigned l, int *a) { PRE(d); if (l >= gnum(d, "nvlinks", 0)) return NOTSUP; char k[32]; snprintf(k, 32, "nvlink%u", l); *a = (int)gnum(d, k, 1); return OK; }
typedef struct { unsigned pid; unsigned long long mem; unsigned gi, ci; } proc;
typedef struct { unsigned pid; unsigned long long ts; unsigned sm, mem, enc, dec; } putil;
static int procs(dev *d, char type, unsigned *n, proc *out) {
    unsigned got = 0, cap = *n;
    for (int i = 0; i < 64; i++) {
        char b[64], k[16], v[160], t = 'C'; unsigned pid; unsigned long long m; snprintf(k, 16, "proc%d", i);
        if (!gets_(key(b, d, k), v, sizeof v) || sscanf(v, "%u %llu %c", &pid, &m, &t) < 2 || t != type) continue;
        if (out && got < cap) { out[got].pid = pid; out[got].mem = m; out[got].gi = out[got].ci = ~0u; }
        got++;
    }
    *n = got; return got > (out ? cap : 0) ? SMALL : OK;
}
API int nvmlDeviceGetComputeRunningProcesses_v2(dev *d, unsigned *n, proc *p) { PRE(d); return procs(d, 'C', n, p); }
API int nvmlDeviceGetGraphicsRunningProcesses_v2(dev *d, unsigned *n, proc *p) { PRE(d); return procs(d, 'G', n, p); }
#ifndef OLD_DRIVER
API int nvmlDeviceGetComputeRunningProcesses_v3(dev *d, unsigned *n, proc *p) { PRE(d); return procs(d, 'C', n, p); }
API int nvmlDeviceGetGraphicsRunningProcesses_v3(dev *d, unsigned *n, proc *p) { PRE(d); return procs(d, 'G', n, p); }
API int nvmlDeviceGetMPSComputeRunningProcesses_v3(dev *d, unsigned *n, proc *p) { PRE(d); return procs(d, 'M', n, p); }
#endif
API int nvmlDeviceGetProcessUtilization(dev *d, putil *out, unsigned *n, unsigned long long since) {
    PRE(d); (void)since; unsigned got = 0, cap = *n; struct timespec ts; clock_gettime(CLOCK_REALTIME, &ts);
    for (int i = 0; i < 64; i++) {
        char b[64], k[16], v[160], t; unsigned pid, sm = 0, mu_ = 0; unsigned long long m; snprintf(k, 16, "proc%d", i);
        if (!gets_(key(b, d, k), v, sizeof v) || sscanf(v, "%u %llu %c %u %u", &pid, &m, &t, &sm, &mu_) < 2) continue;
        if (out && got < cap) { memset(&out[got], 0, sizeof *out); out[got].pid = pid; out[got].sm = sm; out[got].mem = mu_; out[got].ts = (unsigned long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000; }
        got++;
    }
    *n = got; return !got ? NOTFOUND : out && got <= cap ? OK : SMALL;
}
API int nvmlSystemGetProcessName(unsigned pid, char *s, unsigned n) { char p[64]; snprintf(p, 64, "/proc/%u/comm", pid); FILE *f = fopen(p, "r"); if (!f) return NOTFOUND; if (!fgets(s, (int)n, f)) *s = 0; s[strcspn(s, "\n")] = 0; fclose(f); return OK; }
typedef struct { uint32_t id, scope; int64_t ts, lat; int type, ret; union { double d; unsigned u; unsigned long long ull; } v; } field;
API int nvmlDeviceGetFieldValues(dev *d, int n, field *f) { PRE(d); for (int i = 0; i < n; i++) { char k[32]; snprintf(k, 32, "field%u", f[i].id); f[i].ts = 0; f[i].type = 3; if (has(d, k)) { f[i].ret = OK; f[i].v.ull = gnum(d, k, 0); } else f[i].ret = NOTSUP; } return OK; }
/* events: an Xid appears when the state's "xid SEQ GPU CODE" gets a new SEQ */
typedef struct { dev *d; unsigned long long type, data; unsigned gi, ci; } evdata;
static unsigned long long evseen;
API int nvmlEventSetCreate(void **s) { static int x; trace("nvmlEventSetCreate"); *s = &x; evseen = num("xid", 0); return OK; }
API int nvmlEventSetFree(void *s) { (void)s; trace("nvmlEventSetFree"); return OK; }
API int nvmlDeviceRegisterEvents(dev *d, unsigned long long t, void *s) { PRE(d); (void)t; (void)s; return OK; }
API int nvmlDeviceGetSupportedEventTypes(dev *d, unsigned long long *t) { PRE(d); *t = 8 | 1 | 2; return OK; }
API int nvmlEventSetWait_v2(void *s, evdata *e, unsigned ms) {
    (void)s; int r = (int)num("wait_ret", 0); if (r) return r; for (unsigned t = 0; t <= ms; t += 20) { char v[160]; unsigned long long seq, g, c;
        if (gets_("xid", v, sizeof v) && sscanf(v, "%llu %llu %llu", &seq, &g, &c) == 3 && seq != evseen && g < MAXGPU) { evseen = seq; e->d = &devs[g]; e->type = 8; e->data = c; e->gi = e->ci = ~0u; return OK; }
        usleep(20000); }
    return TIMEOUT;
}
