// A picture as the network wants it: the same as pipeline/datasets/resizing.py, of which every step is in single precision.

const single = Math.fround;

/** RGBA bytes of any size -> RGB bytes of side x side: bilinear, half-pixel centres, rounded half up. */
export function resized({ data, width, height }, side) {
  const down = between(height, side);
  const across = between(width, side);
  const small = new Uint8Array(side * side * 3);
  for (let y = 0, at = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      for (let color = 0; color < 3; color++) {
        const pixel = (row, column) => data[4 * (row * width + column) + color];
        const row = (which) => {
          const west = pixel(which, across.first[x]);
          return single(west + single((pixel(which, across.second[x]) - west) * across.far[x]));
        };
        const top = row(down.first[y]);
        const mixed = single(top + single(single(row(down.second[y]) - top) * down.far[y]));
        small[at++] = Math.floor(single(mixed + 0.5));
      }
    }
  }
  return small;
}

/** For each of `side` pixels the two of `size` that it lies between, and how far it is from the first. */
function between(size, side) {
  const scale = single(single(size) / single(side));
  const found = { first: [], second: [], far: [] };
  for (let i = 0; i < side; i++) {
    const at = single(single((i + 0.5) * scale) - 0.5);
    found.first.push(Math.max(Math.floor(at), 0));
    found.second.push(Math.min(Math.ceil(at), size - 1));
    found.far.push(single(at - Math.floor(at)));
  }
  return found;
}
