// The document that every Node program saves: version N with some rows.
exports.make = (n) => ({
  version: Number(n),
  rows: Array.from({ length: 800 }, (_, i) => ({ id: i, of: Number(n), text: `row ${i} of ${n}` })),
});
