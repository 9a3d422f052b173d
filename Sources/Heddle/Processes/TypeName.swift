import CHeddle

/// How a type is named so that another process of the same executable finds it.
///
/// Most types have a mangled name that the runtime can look up. Private and function-local ones have not: they are named by where
/// their descriptor lies in the executable (or library), which is the same in every process of it.
enum TypeName {
  /// nil: no process could find that type.
  static func name(of type: Any.Type) -> String? {
    if let name = _mangledTypeName(type), _typeByName(name) == type { return name }
    return offsetName(of: type)
  }
  static func type(named name: String) -> Any.Type? {
    guard name.hasPrefix("@") else { return _typeByName(name) }
    let parts = name.dropFirst().split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let offset = UInt(parts[0], radix: 16) else { return nil }
    var base: UInt64 = 0
    guard unsafe heddle_image_base(String(parts[1]), &base), let descriptor = unsafe UnsafeRawPointer(bitPattern: UInt(base) &+ offset),
      unsafe heddle_in_image(descriptor, 32), unsafe isPlain(descriptor), let metadata = unsafe heddle_metadata_of_descriptor(descriptor)
    else { return nil }
    // SAFETY: a metadata pointer is what `Any.Type` is; the descriptor was checked to be one of a type without generic parameters.
    return unsafe unsafeBitCast(metadata, to: Any.Type.self)
  }

  // MARK: Job types

  /// The same for a job type.
  ///
  /// Of one in the executable also where its conformance lies: the first look for a type by its name, and that for its conformance, take the
  /// runtime 0.1 ms, which a worker's first job would wait for.
  static func name(ofJob type: any Job.Type) -> String? { placesName(of: type) ?? name(of: type) }
  static func job(named name: String) -> (any Job.Type)? {
    guard let places = name.utf8.first == UInt8(ascii: "=") ? name.dropFirst().split(separator: ",") : nil else {
      return type(named: name) as? any Job.Type
    }
    var base: UInt64 = 0
    guard places.count == 2, let offset = UInt(places[0], radix: 16), let conformanceOffset = UInt(places[1], radix: 16),
      unsafe heddle_image_base("", &base), let descriptor = unsafe UnsafeRawPointer(bitPattern: UInt(base) &+ offset),
      let conformance = unsafe UnsafeRawPointer(bitPattern: UInt(base) &+ conformanceOffset), unsafe heddle_in_image(descriptor, 32),
      unsafe heddle_in_image(conformance, 16), unsafe isPlain(descriptor),
      let metadata = unsafe heddle_metadata_of_descriptor(descriptor),
      let witnesses = unsafe heddle_witnesses_of_conformance(conformance, metadata)
    else { return nil }
    // SAFETY: what an `any Job.Type` is; the parent, which is trusted, took both places from one.
    return unsafe unsafeBitCast((metadata, witnesses), to: (any Job.Type).self)
  }
  /// nil: the type or its conformance does not lie in the executable, or is made at run time.
  private static func placesName(of type: any Job.Type) -> String? {
    #if os(Linux)
      // A worker is the very file that this process was started from. Of libraries only the paths are the same.
      guard let place = unsafe descriptor(of: type), unsafe place.path.pointee == 0 else { return nil }
      // Cast, or the compiler would hand over the type itself instead of the two words. A witness table begins with its conformance.
      let witnesses = unsafe unsafeBitCast(type as any Job.Type, to: (UnsafeRawPointer, UnsafeRawPointer).self).1
      let conformance = unsafe witnesses.load(as: UnsafeRawPointer.self)
      var base: UInt64 = 0
      var path: UnsafePointer<CChar>?
      guard unsafe heddle_image_of(conformance, &base, &path), unsafe base == place.base else { return nil }
      let offset = unsafe UInt(bitPattern: place.descriptor) &- UInt(place.base)
      let conformanceOffset = unsafe UInt(bitPattern: conformance) &- UInt(place.base)
      return "=" + String(offset, radix: 16) + "," + String(conformanceOffset, radix: 16)
    #else
      return nil
    #endif
  }

  // MARK: Places

  private static func offsetName(of type: Any.Type) -> String? {
    guard let place = unsafe descriptor(of: type) else { return nil }
    return unsafe "@" + String(UInt(bitPattern: place.descriptor) &- UInt(place.base), radix: 16) + ":" + String(cString: place.path)
  }
  /// The descriptor of a type without generic parameters, and the image that it lies in.
  private static func descriptor(of type: Any.Type) -> (descriptor: UnsafeRawPointer, base: UInt64, path: UnsafePointer<CChar>)? {
    // Metadata of a struct or enum: its kind, then its descriptor. A class has other words there and keeps the descriptor further on.
    let metadata = unsafe unsafeBitCast(type, to: UnsafePointer<UInt>.self)
    let place: Int
    switch unsafe metadata[0] {
    case 0x200, 0x201: place = 1
    // A class: 0, or with Objective-C the isa pointer.
    case let kind where kind == 0 || kind > 0x7ff: place = classDescriptorPlace
    default: return nil
    }
    guard let descriptor = unsafe UnsafeRawPointer(bitPattern: metadata[place]), unsafe heddle_in_image(descriptor, 32),
      unsafe isPlain(descriptor)
    else { return nil }
    guard unsafe heddle_metadata_of_descriptor(descriptor) == UnsafeRawPointer(metadata) else { return nil }
    var base: UInt64 = 0
    var path: UnsafePointer<CChar>?
    guard unsafe heddle_image_of(descriptor, &base, &path), let path = unsafe path else { return nil }
    return unsafe (descriptor, base, path)
  }
  #if canImport(ObjectiveC)
    /// Words before the descriptor in a class's metadata: isa, superclass, two of the cache, data, flags and sizes.
    private static let classDescriptorPlace = 8
  #else
    /// Words before the descriptor in a class's metadata: kind, superclass, flags and sizes.
    private static let classDescriptorPlace = 5
  #endif
  /// Whether a descriptor is one of a class, struct or enum without generic parameters of its own or of what surrounds it.
  private static func isPlain(_ descriptor: UnsafeRawPointer) -> Bool {
    let flags = unsafe descriptor.load(as: UInt32.self)
    return (16...18).contains(flags & 0x1f) && flags & 0x80 == 0
  }
}
