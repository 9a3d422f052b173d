// Where code and types live in memory: the executable and its libraries. The layout is the same in parent and worker up to the load address.
#include "CHeddle.h"
#include <string.h>

#if defined(__linux__)
#include <link.h>

struct look_up {
  uintptr_t address, length;
  const char *path;
  uint64_t base;
  const char *found_path;
  bool found;
};

static bool holds(struct dl_phdr_info *image, uintptr_t address, uintptr_t length) {
  for (int i = 0; i < image->dlpi_phnum; i++) {
    if (image->dlpi_phdr[i].p_type != PT_LOAD) continue;
    uintptr_t start = image->dlpi_addr + image->dlpi_phdr[i].p_vaddr, size = image->dlpi_phdr[i].p_memsz;
    if (address >= start && length <= size && address - start <= size - length) return true;
  }
  return false;
}

static int by_address(struct dl_phdr_info *image, size_t size, void *context) {
  struct look_up *l = context;
  (void)size;
  if (!holds(image, l->address, l->length)) return 0;
  l->base = image->dlpi_addr, l->found_path = image->dlpi_name, l->found = true;
  return 1;
}

static int by_path(struct dl_phdr_info *image, size_t size, void *context) {
  struct look_up *l = context;
  (void)size;
  if (strcmp(image->dlpi_name, l->path)) return 0;
  l->base = image->dlpi_addr, l->found = true;
  return 1;
}

bool heddle_image_of(const void *address, uint64_t *base, const char **path) {
  struct look_up l = {.address = (uintptr_t)address, .length = 1};
  dl_iterate_phdr(by_address, &l);
  if (l.found) *base = l.base, *path = l.found_path;
  return l.found;
}

bool heddle_image_base(const char *path, uint64_t *base) {
  struct look_up l = {.path = path};
  dl_iterate_phdr(by_path, &l);
  if (l.found) *base = l.base;
  return l.found;
}

bool heddle_in_image(const void *address, size_t length) {
  struct look_up l = {.address = (uintptr_t)address, .length = length};
  dl_iterate_phdr(by_address, &l);
  return l.found;
}
#endif

const void *heddle_metadata_of_descriptor(const void *descriptor) {
  // A nominal type's context descriptor: flags, parent, name, then a relative pointer to the function that makes its metadata.
  const int32_t *relative = (const int32_t *)((const char *)descriptor + 12);
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wcast-align"
  const void *(*accessor)(size_t) = (const void *(*)(size_t))((const char *)relative + *relative);
#pragma clang diagnostic pop
  return accessor(0);
}

const char *heddle_plain_type_name(const void *metadata) {
  // A struct's metadata or an enum's: its kind, then its descriptor, whose third word is a relative pointer to the name.
  uintptr_t kind = ((const uintptr_t *)metadata)[0];
  if (kind != 0x200 && kind != 0x201) return NULL;
  const char *descriptor = ((const char *const *)metadata)[1];
  uint32_t flags;
  int32_t offset;
  memcpy(&flags, descriptor, sizeof flags);
  memcpy(&offset, descriptor + 8, sizeof offset);
  return flags & 0x80 ? NULL : descriptor + 8 + offset;
}

// The Swift runtime's own: what compiled code calls.
extern const void *swift_getWitnessTable(const void *conformance, const void *metadata, const void *const *arguments);

const void *heddle_witnesses_of_conformance(const void *conformance, const void *metadata) {
  return swift_getWitnessTable(conformance, metadata, NULL);
}

// The Swift runtime's own. `isKnownUniquelyReferenced` asks it too, but takes a reference of its own where code is not optimized.
extern bool swift_isUniquelyReferenced_nonNull_native(const void *object);

bool heddle_is_unique(const void *object) { return swift_isUniquelyReferenced_nonNull_native(object); }
