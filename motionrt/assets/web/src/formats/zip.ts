/** Writes ZIP files, uncompressed. */

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** A ZIP file of members by their names, stored as they are. */
export function toZip(members: [string, Uint8Array][]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const [name, bytes] of members) {
    const label = new TextEncoder().encode(name);
    const crc = crc32(bytes);
    const common = (view: DataView, start: number): void => {
      [20, 0, 0, 0, 0x21].forEach((value, i) => view.setUint16(start + 2 * i, value, true)); // of 1 January 1980
      [crc, bytes.length, bytes.length].forEach((value, i) => view.setUint32(start + 10 + 4 * i, value, true));
      view.setUint16(start + 22, label.length, true);
    };
    const local = new Uint8Array(30 + label.length);
    const head = new DataView(local.buffer);
    head.setUint32(0, 0x04034b50, true);
    common(head, 4);
    local.set(label, 30);
    const central = new Uint8Array(46 + label.length);
    const entry = new DataView(central.buffer);
    entry.setUint32(0, 0x02014b50, true);
    entry.setUint16(4, 20, true);
    common(entry, 6);
    entry.setUint32(42, at, true);
    central.set(label, 46);
    parts.push(local, bytes);
    directory.push(central);
    at += local.length + bytes.length;
  }
  const size = directory.reduce((sum, entry) => sum + entry.length, 0);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, members.length, true);
  end.setUint16(10, members.length, true);
  end.setUint32(12, size, true);
  end.setUint32(16, at, true);
  const file = new Uint8Array(at + size + 22);
  let place = 0;
  for (const part of [...parts, ...directory, new Uint8Array(end.buffer)]) {
    file.set(part, place);
    place += part.length;
  }
  return file;
}
