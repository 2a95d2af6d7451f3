/* Attach to the node's file, lock it, read its clock, find an injected fault. */
#define _GNU_SOURCE
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const uint64_t MAGIC = 0x3447504774746157ull; /* "WattGPG4"; raise the digit with the layout */

enum { LOCK_SECONDS = 10 };

static struct node *attached;

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* CLOCK_MONOTONIC is one clock for all processes of a boot. */
uint64_t node_now_ns(const struct node *node)
{
    return node->clock_ns ? node->clock_ns : clock_ns(CLOCK_MONOTONIC);
}

/* The virtual clock is the wall clock too, so that a test has one clock to move. */
uint64_t node_wall_us(const struct node *node)
{
    return (node->clock_ns ? node->clock_ns : clock_ns(CLOCK_REALTIME)) / 1000u;
}

/* A new card: no joule used, default limits, idle. */
void node_fill_card(struct node *node, struct card *card)
{
    memset(card, 0, sizeof *card);
    card->limit_mw = DEFAULT_LIMIT_MW;
    card->meter[0].celsius = AMBIENT_CELSIUS + CELSIUS_PER_WATT * IDLE_MW / 1e3;
    card_rebase(node, card);
}

/* Fill all but the mutex, which others may be waiting on when a node is reset. */
void node_fill(struct node *node, unsigned cards, uint64_t clock_ns)
{
    node->clock_ns = clock_ns;
    node->rules_cleared++;
    node->cards = cards < CARDS ? cards : CARDS;
    memset(node->rule, 0, sizeof node->rule);
    memset(node->card, 0, sizeof node->card);
    node->curve_points = 0;
    for (unsigned i = 0; i < node->cards; i++)
        node_fill_card(node, &node->card[i]);
}

static int make(struct node *node, unsigned cards)
{
    pthread_mutexattr_t how;
    if (pthread_mutexattr_init(&how) || pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED) ||
        pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST) ||
        pthread_mutex_init(&node->mutex, &how))
        return UNKNOWN;
    pthread_mutexattr_destroy(&how);
    node_fill(node, cards, 0);
    __atomic_store_n(&node->magic, MAGIC, __ATOMIC_RELEASE);
    return SUCCESS;
}

static int open_node(int file, unsigned cards, struct node **opened)
{
    struct stat about;
    if (flock(file, LOCK_EX) || fstat(file, &about)) 
        return UNKNOWN;
    if (about.st_size == 0 && ftruncate(file, sizeof(struct node)))
        return INSUFFICIENT_RESOURCES;
    if (about.st_size != 0 && about.st_size != (off_t)sizeof(struct node))
        return LIB_RM_VERSION_MISMATCH;
    struct node *node =
        mmap(NULL, sizeof(struct node), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (node == MAP_FAILED)
        return UNKNOWN;
    *opened = node;
    if (node->magic == 0)
        return make(node, cards);
    return node->magic == MAGIC ? SUCCESS : LIB_RM_VERSION_MISMATCH;
}

/* A mapping is never undone: a call that hangs may still be inside it. */
int node_attach(const char *path, unsigned cards)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return DRIVER_NOT_LOADED;
    struct node *node = NULL;
    int code = open_node(file, cards, &node);
    flock(file, LOCK_UN); /* closing would not do: the mapping keeps the file, and so the lock */
    close(file);
    if (code == SUCCESS)
        __atomic_store_n(&attached, node, __ATOMIC_RELEASE);
    return code;
}

void node_detach(void)
{
    __atomic_store_n(&attached, NULL, __ATOMIC_RELEASE);
}

struct node *node_attached(void)
{
    return __atomic_load_n(&attached, __ATOMIC_ACQUIRE);
}

/* A process killed inside a call leaves the lock to the next one, with whole meters behind it. One
 * that is stopped inside a call makes the others fail after a while, not wait for ever. */
int node_lock(struct node *node)
{
    int failed = pthread_mutex_trylock(&node->mutex);
    if (failed == EBUSY) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOCK_SECONDS;
        failed = pthread_mutex_clocklock(&node->mutex, CLOCK_MONOTONIC, &until);
    }
    if (failed == EOWNERDEAD)
        failed = pthread_mutex_consistent(&node->mutex);
    return failed ? UNKNOWN : SUCCESS;
}

void node_unlock(struct node *node)
{
    pthread_mutex_unlock(&node->mutex);
}

/* Return the code that was injected for this call, and how long the call is to hang first. */
int node_fault(struct node *node, const char *function, int gpu, uint32_t *delay_ms)
{
    *delay_ms = 0;
    for (int i = 0; i < RULES; i++) {
        struct rule *rule = &node->rule[i];
        if (!rule->function[0] || rule->remaining == 0)
            continue;
        if (strcmp(rule->function, "*") != 0 && strcmp(rule->function, function) != 0)
            continue;
        if (rule->gpu != EVERY_GPU && rule->gpu != gpu)
            continue;
        if (rule->remaining > 0)
            rule->remaining--;
        *delay_ms = rule->delay_ms;
        return rule->code;
    }
    return SUCCESS;
}

/* Hang as a wedged driver does: in real time, holding no lock; let go when the rules are cleared. */
void node_hang(struct node *node, uint32_t delay_ms, uint64_t rules_cleared)
{
    const struct timespec slice = {.tv_nsec = 2000000};
    __atomic_add_fetch(&node->hanging, 1, __ATOMIC_ACQ_REL);
    uint64_t until_ns = clock_ns(CLOCK_MONOTONIC) + delay_ms * 1000000ull;
    while (clock_ns(CLOCK_MONOTONIC) < until_ns &&
           __atomic_load_n(&node->rules_cleared, __ATOMIC_ACQUIRE) == rules_cleared)
        nanosleep(&slice, NULL);
    __atomic_sub_fetch(&node->hanging, 1, __ATOMIC_ACQ_REL);
}
