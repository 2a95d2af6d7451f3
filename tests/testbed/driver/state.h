/* The shared state of the virtual GPU node, and the calls that the source files here share.
 *
 * One mmap'ed file holds the node; every process that loads the library sees the same cards.
 *   state.c    attach, lock, clock, injected faults
 *   physics.c  what a card draws, and what it has used up to now
 *   nvml.c     NVML's own functions, as pynvml calls them; mig.c and gpm.c those of instances
 *   clocks.c   the clocks a card knows, and the lock on them
 *   control.c  the hands of the test and of the engine: fake_*; parts.c those for a card's parts
 */
#ifndef TESTBED_STATE_H
#define TESTBED_STATE_H

#include <pthread.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

enum {
    CARDS = 32,
    PROCESSES = 16,
    INSTANCES = 7, /* MIG devices of a card, and its compute slices */
    RULES = 32,
    CURVE_POINTS = 32,
    HISTORY = 128, /* changes of power kept for the 1 s average; the engine makes 50 a second */
    FUNCTION_NAME = 64,
    EVERY_GPU = -1,
    FOR_EVER = -1,
};

/* Return codes of NVML (the names in pynvml, less NVML_ERROR_). */
enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NO_PERMISSION = 4,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    GPU_IS_LOST = 15,
    LIB_RM_VERSION_MISMATCH = 18,
    INSUFFICIENT_RESOURCES = 23,
    ARGUMENT_VERSION_MISMATCH = 25,
    UNKNOWN = 999,
};

/* The board: an H100 SXM5 80 GB. */
#define MIN_LIMIT_MW 200000u
#define DEFAULT_LIMIT_MW 700000u
#define MAX_LIMIT_MW 700000u
#define IDLE_MW 70000u /* nvidia-smi shows 68 to 75 W at 0 MiB */
#define AMBIENT_CELSIUS 27.0
#define CELSIUS_PER_WATT 0.065 /* 70 W reads 32 C, as real ones do; 700 W reads 73 C */
#define THERMAL_SECONDS 30.0   /* assumed: die and heat sink, first order */
#define GPU_MAX_CELSIUS 87
#define SLOWDOWN_CELSIUS 89
#define SHUTDOWN_CELSIUS 92
#define MEMORY_MAX_CELSIUS 95
#define MEMORY_BYTES (81559ull << 20)
#define MEMORY_RESERVED_BYTES (606ull << 20)
#define SM_MAX_MHZ 1980u
#define SM_IDLE_MHZ 345u
#define SM_LOWEST_MHZ 345u
#define SM_STEP_MHZ 15u
#define MEMORY_MHZ 2619u
#define VIDEO_MAX_MHZ 1545u

enum fault {
    LOST,
    READ_ONLY,
    NO_ENERGY_COUNTER,
    LYING_SETTER,
    OLD_FIELDS,    /* refuses a whole list of fields for one field or scope that it is too old for */
    NO_GPM,        /* older than Hopper */
    PRIVATE_LISTS, /* in MIG mode the card's own list of processes is for the privileged */
    FAULTS,
};

struct meter { /* everything that accrues; energy is exact: 1 mW.ns = 1 pJ */
    uint64_t at_ns;
    uint64_t energy_mj;
    uint64_t energy_pj; /* the rest, below 1e9 */
    uint64_t power_violation_ns;
    uint64_t thermal_violation_ns;
    double celsius;
    double active_ns[INSTANCES]; /* SM activity times time */
};

struct point {
    uint64_t at_ns;
    uint64_t energy_mj;
    uint64_t energy_pj;
};

struct process {
    uint32_t pid; /* 0 = free */
    uint32_t follow; /* leave, and idle the card, when this process dies */
    uint64_t memory_bytes;
    uint64_t sampled_us;
    uint32_t sm_percent;
    uint32_t memory_percent;
    uint32_t kind; /* enum kind */
    uint32_t gpu_instance, compute_instance; /* NO_INSTANCE: not in a MIG device */
};

enum kind { COMPUTE, GRAPHICS, MPS, KINDS };
#define NO_INSTANCE 0xffffffffu

struct instance { /* a MIG device: a compute instance inside a GPU instance */
    uint32_t slices; /* of the GPU instance; 0 = free */
    uint32_t gpu_instance, compute_instance;
    uint32_t compute_slices;
    uint64_t memory_mb;
    double busy; /* SM activity, 0 to 1 */
};

struct card {
    struct meter meter[2]; /* written in turn, so that a kill -9 cannot tear one */
    uint32_t current;
    uint32_t metered_mw; /* the power of the last accrual; UINT32_MAX = none yet */
    uint32_t limit_mw;
    uint32_t lock_mhz;   /* the highest graphics clock allowed; 0 = no lock */
    uint32_t outside_mw; /* a limiter below the driver (BMC, rack); 0 = none */
    uint32_t demand_mw;  /* what the work would draw without any limit; 0 = idle */
    double busy;         /* 0 to 1 */
    double memory_busy;
    int32_t celsius_set;
    uint32_t celsius_is_set;
    uint32_t fault[FAULTS];
    uint32_t mig; /* in MIG mode */
    uint32_t module_mw, memory_mw; /* what the other scopes of power show; 0 = not metered */
    uint32_t sensor_mw, sensor_is_set; /* what every reading of power shows instead of the truth */
    uint64_t set_calls;
    uint64_t visits; /* calls about this card */
    struct instance instance[INSTANCES];
    struct process process[PROCESSES];
    struct point history[HISTORY];
    uint64_t history_length; /* ever pushed; the ring keeps the last HISTORY */
};

struct rule {
    char function[FUNCTION_NAME]; /* an NVML function, "field:186", or "*"; empty = free */
    int32_t gpu;
    int32_t code;
    int64_t remaining;
    uint32_t delay_ms;
};

struct node {
    uint64_t magic; /* written last, so that a half-made file is made again */
    pthread_mutex_t mutex;
    uint64_t clock_ns; /* 0 = the real clocks */
    uint64_t rules_cleared;
    uint32_t hanging; /* calls that hang at this moment */
    uint32_t cards;
    uint32_t curve_points; /* 0 = no curve: a cap costs nothing and saves what it cuts */
    double curve_cap[CURVE_POINTS]; /* cap as a fraction of the maximum limit, rising */
    double curve_throughput[CURVE_POINTS];
    double curve_energy[CURVE_POINTS]; /* per unit of work */
    struct rule rule[RULES];
    struct card card[CARDS];
};

struct draw {
    uint32_t mw;
    uint32_t limited; /* the cap bites */
    double throughput; /* relative to no cap */
};

/* state.c */
int node_attach(const char *path, unsigned cards);
void node_detach(void);
void node_fill(struct node *node, unsigned cards, uint64_t clock_ns);
void node_fill_card(struct node *node, struct card *card);
struct node *node_attached(void);
int node_lock(struct node *node);
void node_unlock(struct node *node);
uint64_t node_now_ns(const struct node *node);
uint64_t node_wall_us(const struct node *node);
int node_fault(struct node *node, const char *function, int gpu, uint32_t *delay_ms);
void node_hang(struct node *node, uint32_t delay_ms, uint64_t rules_cleared);

/* physics.c */
const struct meter *card_meter(const struct card *card);
struct draw card_draw(const struct node *node, const struct card *card);
uint32_t card_enforced_mw(const struct card *card);
uint32_t card_instant_mw(const struct node *node, const struct card *card);
uint32_t card_average_mw(const struct node *node, const struct card *card);
int card_celsius(const struct card *card);
void card_update(struct node *node, struct card *card);
void card_rebase(struct node *node, struct card *card);
void card_forget_energy(struct node *node, struct card *card);

#endif
