import CGD
import Heddle

/// What became of a photo.
struct Edited: Codable, Equatable, Sendable {
  var file: String
  var width: Int
  var height: Int
  /// Red, green and blue, from 0 to 255.
  var mean: [Int]
}

/// Makes a photo smaller, sharper and a little warmer; writes NAME-swift.jpg beside it.
///
/// In a process a photo that crashes the library costs that photo.
struct Edit: Job {
  var path: String

  func run() async throws -> Edited {
    let photo = try Picture(jpeg: path)
    let small = try photo.blurred(radius: 2).scaled(width: photo.width / 2, height: photo.height / 2)
    small.sharpen(percent: 60)
    small.shift(red: 8, green: 0, blue: -8)
    let target = path.removingExtension + "-swift.jpg"
    try small.write(jpeg: target, quality: 88)
    return Edited(
      file: String(target.split(separator: "/").last ?? ""), width: small.width, height: small.height, mean: try small.meanColour())
  }
}

struct PictureFailure: Error, Codable {
  var reason: String
}

/// A picture of GD's, which ends with this value.
struct Picture: ~Copyable {
  private let image: gdImagePtr

  private init(_ image: gdImagePtr?, _ reason: @autoclosure () -> String) throws {
    guard let image else { throw PictureFailure(reason: reason()) }
    self.image = image
  }
  init(jpeg path: String) throws {
    guard let file = fopen(path, "rb") else { throw PictureFailure(reason: "cannot read \(path)") }
    defer { fclose(file) }
    try self.init(gdImageCreateFromJpeg(file), "\(path) is no JPEG")
  }
  deinit { gdImageDestroy(image) }

  var width: Int { Int(image.pointee.sx) }
  var height: Int { Int(image.pointee.sy) }

  func blurred(radius: Int) throws -> Picture {
    try Picture(gdImageCopyGaussianBlurred(image, CInt(radius), -1), "cannot blur")
  }
  func scaled(width: Int, height: Int) throws -> Picture {
    gdImageSetInterpolationMethod(image, GD_CATMULLROM)
    return try Picture(gdImageScale(image, CUnsignedInt(width), CUnsignedInt(height)), "cannot scale")
  }
  func sharpen(percent: Int) { gdImageSharpen(image, CInt(percent)) }
  /// Adds to each pixel.
  func shift(red: Int, green: Int, blue: Int) { gdImageColor(image, CInt(red), CInt(green), CInt(blue), 0) }
  /// The mean of each colour over all pixels.
  func meanColour() throws -> [Int] {
    let pixel = try Picture(gdImageCreateTrueColor(1, 1), "no memory")
    gdImageCopyResampled(pixel.image, image, 0, 0, 0, 0, 1, 1, CInt(width), CInt(height))
    let colour = Int(gdImageGetTrueColorPixel(pixel.image, 0, 0))
    return [colour >> 16 & 255, colour >> 8 & 255, colour & 255]
  }
  func write(jpeg path: String, quality: Int) throws {
    guard let file = fopen(path, "wb") else { throw PictureFailure(reason: "cannot write \(path)") }
    gdImageJpeg(image, file, CInt(quality))
    guard fclose(file) == 0 else { throw PictureFailure(reason: "cannot write \(path) to its end") }
  }
}

extension String {
  var removingExtension: String { lastIndex(of: ".").map { String(self[..<$0]) } ?? self }
}
