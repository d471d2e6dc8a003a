#include "rpc/worker_flags.h"

#include "common/status.h"
#include "rpc/address.h"
#include "rpc/convert_fleet.h"

namespace expertmesh {

absl::Status CheckWorkerFlags(const WorkerFlags& fleet, const ListenFlags& listen) {
  RETURN_IF_ERROR(Annotate(CheckWorkerName(fleet.name), "--name"));
  RETURN_IF_ERROR(Annotate(CheckDialAddress(fleet.coordinator), "--coordinator"));
  RETURN_IF_ERROR(CheckListenAddress(listen.listen, listen.allow_insecure_listen));
  if (fleet.advertise.empty()) {
    // The port of port 0 is known once it is bound; whether the host can be dialled is known now.
    ASSIGN_OR_RETURN(Address address, ParseAddress(listen.listen));
    if (address.port == 0) address.port = 1;
    return AdvertisedAddress(ToString(address), "").status();
  }
  return AdvertisedAddress("", fleet.advertise).status();
}

}  // namespace expertmesh
