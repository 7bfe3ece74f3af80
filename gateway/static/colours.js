// A colour map whose steps look equally large to the eye, and which grows lighter throughout: it is read in grey too.

// Viridis at 17 places (Smith, van der Walt and Firing; CC0); between them colours are mixed.
const STOPS = [
  0x440154, 0x48186a, 0x472d7b, 0x424086, 0x3b528b, 0x33638d, 0x2c728e, 0x26828e, 0x21918c, 0x1fa088, 0x28ae80, 0x3fbc73,
  0x5ec962, 0x84d44b, 0xaddc30, 0xd8e219, 0xfde725,
];

/** Red, green and blue of 256 steps, one after the other. */
export const MAP = makeMap(256);

/** Return the colour at a height of 0 to 1, for CSS. */
export function colourAt(height) {
  const place = Math.max(0, Math.min(255, Math.round(height * 255))) * 3;
  return `rgb(${MAP[place]} ${MAP[place + 1]} ${MAP[place + 2]})`;
}

function makeMap(steps) {
  const map = new Uint8ClampedArray(steps * 3);
  for (let step = 0; step < steps; step++) {
    const place = (step / (steps - 1)) * (STOPS.length - 1);
    const first = Math.min(Math.floor(place), STOPS.length - 2);
    const part = place - first;
    for (let channel = 0; channel < 3; channel++) {
      const shift = 16 - 8 * channel;
      const low = (STOPS[first] >> shift) & 255;
      const high = (STOPS[first + 1] >> shift) & 255;
      map[step * 3 + channel] = low + (high - low) * part;
    }
  }
  return map;
}
