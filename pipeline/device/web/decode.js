// An encoded picture as pipeline/datasets/decoding.py reads it: upright, over white, a large JPEG scaled down first.

const DRAFT_SIDE = 336; // px that the shorter side of a JPEG keeps at least
const MOST_PIXELS = 4096 * 4096; // of a canvas on a phone; what is larger, and no JPEG, is drawn smaller

/** Blob -> { data: RGBA bytes, width, height }. Throws where it is no picture. */
export async function decoded(blob) {
  const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  try {
    const [first, second, third] = new Uint8Array(await blob.slice(0, 3).arrayBuffer());
    const isJpeg = first === 0xff && second === 0xd8 && third === 0xff;
    const shorter = Math.min(bitmap.width, bitmap.height);
    const by = isJpeg ? [8, 4, 2, 1].find((step) => step === 1 || shorter >= step * DRAFT_SIDE) : 1;
    return by > 1 ? averaged(bitmap, by) : drawn(bitmap);
  } finally {
    bitmap.close();
  }
}

function drawn(bitmap) {
  const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height)));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const context = canvas(width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** The mean of each `by` x `by` pixels, which is what a JPEG's decoder gives when it scales; in strips. */
function averaged(bitmap, by) {
  const [width, height] = [Math.ceil(bitmap.width / by), Math.ceil(bitmap.height / by)];
  const small = new Uint8ClampedArray(4 * width * height).fill(255);
  const rows = 32 * by;
  const context = canvas(bitmap.width, rows);
  for (let top = 0; top < bitmap.height; top += rows) {
    const strip = Math.min(rows, bitmap.height - top);
    context.drawImage(bitmap, 0, -top);
    const { data } = context.getImageData(0, 0, bitmap.width, strip);
    for (let y = 0; y < Math.ceil(strip / by); y++) {
      for (let x = 0; x < width; x++) {
        const at = 4 * ((top / by + y) * width + x);
        const [right, bottom] = [Math.min((x + 1) * by, bitmap.width), Math.min((y + 1) * by, strip)];
        for (let color = 0; color < 3; color++) {
          let sum = 0;
          for (let row = y * by; row < bottom; row++) {
            for (let column = x * by; column < right; column++) sum += data[4 * (row * bitmap.width + column) + color];
          }
          small[at + color] = sum / ((right - x * by) * (bottom - y * by));
        }
      }
    }
  }
  return { data: small, width, height };
}

function canvas(width, height) {
  const made = Object.assign(document.createElement("canvas"), { width, height });
  const context = made.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  return context;
}
