// miniupnpc, which asks routers by UPnP. Its later versions say more about what they found.
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>

// Finds out whether a device is a router that forwards ports. If so (1), `urls` and `data` say how
// to ask it, and `urls` has to be freed.
static inline int weft_find_router(struct UPNPDev *device, struct UPNPUrls *urls,
                                   struct IGDdatas *data) {
    char own[64] = "";
#if MINIUPNPC_API_VERSION >= 18
    char outer[64] = "";
    int found = UPNP_GetValidIGD(device, urls, data, own, sizeof own, outer, sizeof outer);
    int routers = 3;
#else
    int found = UPNP_GetValidIGD(device, urls, data, own, sizeof own);
    int routers = 2;
#endif
    if (found > routers) FreeUPNPUrls(urls);
    return found >= 1 && found <= routers;
}
