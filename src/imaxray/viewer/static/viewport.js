// Shows an image on a canvas at its full depth: zoom, pan, window and inversion; boxes lie above it.
import { make, makeSvg } from "./dom.js";

const GREATEST = 32;
const OPAQUE = 0xff000000;

export class Viewport {
  constructor({ onchange, onpoint }) {
    this.onchange = onchange;
    this.onpoint = onpoint;
    this.canvas = make("canvas", { role: "img", "aria-label": "Radiograph" });
    this.layer = makeSvg("svg", { class: "boxes", "aria-hidden": "true" });
    this.element = make("div", { class: "viewport", tabindex: "0", role: "group", "aria-label": "Image; arrow keys move it" },
      this.canvas, this.layer);
    this.image = null;
    this.boxes = [];
    this.scale = 1;
    this.left = 0;
    this.top = 0;
    this.fitted = true;
    this.listen();
    new ResizeObserver(() => this.resized()).observe(this.element);
  }

  /** Show an image: `size` is that of the table; pixels may be missing. */
  show(size, pixels, label) {
    this.size = size;
    this.pixels = pixels;
    this.canvas.setAttribute("aria-label", label);
    this.image = null;
    if (pixels) {
      this.image = document.createElement("canvas");
      this.image.width = pixels.about.width;
      this.image.height = pixels.about.height;
      this.low = pixels.about.low;
      this.high = pixels.about.high;
      this.inverted = pixels.about.inverted;
      this.mapped();
    }
    this.fit();
  }

  /** Map all pixels through the window to grey. */
  mapped() {
    if (!this.image) return;
    const { values, about } = this.pixels;
    const table = new Uint32Array(about.bits === 16 ? 65536 : 256);
    const range = Math.max(this.high - this.low, 1e-6);
    for (let value = 0; value < table.length; value += 1) {
      let grey = Math.round(Math.min(Math.max((value - this.low) / range, 0), 1) * 255);
      if (this.inverted) grey = 255 - grey;
      table[value] = (OPAQUE | (grey << 16) | (grey << 8) | grey) >>> 0;
    }
    const context = this.image.getContext("2d");
    const data = context.createImageData(about.width, about.height);
    const out = new Uint32Array(data.data.buffer);
    for (let place = 0; place < out.length; place += 1) out[place] = table[values[place]];
    context.putImageData(data, 0, 0);
    this.draw();
  }

  setWindow(low, high) {
    if (!this.pixels) return;
    const middle = (low + high) / 2;
    const half = Math.max((high - low) / 2, 0.5);
    [this.low, this.high] = [middle - half, middle + half];
    this.soon(() => this.mapped());
  }

  /** Move the level and scale the width of the window. */
  shiftWindow(level, width) {
    const range = this.high - this.low;
    const middle = (this.low + this.high) / 2 + level * range;
    const half = (range / 2) * (1 + width);
    this.setWindow(middle - half, middle + half);
  }

  resetWindow() {
    if (!this.pixels) return;
    this.inverted = this.pixels.about.inverted;
    this.setWindow(this.pixels.about.low, this.pixels.about.high);
  }

  invert() {
    this.inverted = !this.inverted;
    this.soon(() => this.mapped());
  }

  fit() {
    const [wide, high] = [this.element.clientWidth, this.element.clientHeight];
    if (!this.size || !wide || !high) return;
    this.fitted = true;
    this.scale = Math.min(wide / this.size.width, high / this.size.height);
    this.left = (wide - this.size.width * this.scale) / 2;
    this.top = (high - this.size.height * this.scale) / 2;
    this.draw();
  }

  /** Zoom by a factor around a point of the element; default: its middle. */
  zoom(factor, x = this.element.clientWidth / 2, y = this.element.clientHeight / 2) {
    if (!this.size) return;
    const least = Math.min(0.05, this.scale);
    const scale = Math.min(Math.max(this.scale * factor, least), GREATEST);
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.draw();
  }

  setScale(scale) {
    this.zoom(scale / this.scale);
  }

  pan(x, y) {
    this.left += x;
    this.top += y;
    this.fitted = false;
    this.draw();
  }

  resized() {
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(this.element.clientWidth * ratio);
    this.canvas.height = Math.round(this.element.clientHeight * ratio);
    if (this.fitted) this.fit();
    else this.draw();
  }

  soon(work) {
    this.waiting = work;
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.waiting();
    });
  }

  draw() {
    const context = this.canvas.getContext("2d");
    const ratio = devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.image) {
      context.setTransform(ratio * this.scale, 0, 0, ratio * this.scale, ratio * this.left, ratio * this.top);
      context.imageSmoothingEnabled = this.scale < 2;
      context.imageSmoothingQuality = "high";
      // the pixels may be of another size than the table says; boxes are in that of the table
      context.drawImage(this.image, 0, 0, this.size.width, this.size.height);
    }
    this.placeBoxes();
    this.onchange?.();
  }

  /** Set the boxes that are shown: `{box, kind, label, strong}` in pixels of the original. */
  setBoxes(boxes) {
    this.boxes = boxes.map((box) => {
      const frame = makeSvg("rect", { class: "frame" });
      const line = makeSvg("rect", { class: "line" });
      const text = makeSvg("text", {}, box.label);
      const group = makeSvg("g", { class: `box ${box.kind}${box.strong ? " strong" : ""}`, "data-kind": box.kind }, frame, line, text);
      return { ...box, group, frame, line, text };
    });
    this.layer.replaceChildren(...this.boxes.map(({ group }) => group));
    this.placeBoxes();
  }

  placeBoxes() {
    for (const { box, frame, line, text } of this.boxes) {
      const x = this.left + box[0] * this.scale;
      const y = this.top + box[1] * this.scale;
      const size = { width: Math.max((box[2] - box[0]) * this.scale, 1), height: Math.max((box[3] - box[1]) * this.scale, 1) };
      for (const rect of [frame, line]) {
        for (const [name, value] of Object.entries({ x, y, ...size })) rect.setAttribute(name, value);
      }
      text.setAttribute("x", x + 3);
      text.setAttribute("y", y + 13);
    }
  }

  listen() {
    const of = this.element;
    let drag = null;
    of.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { left, top } = of.getBoundingClientRect();
      this.zoom(2 ** (-event.deltaY / 300), event.clientX - left, event.clientY - top);
    }, { passive: false });
    of.addEventListener("contextmenu", (event) => event.preventDefault());
    of.addEventListener("pointerdown", (event) => {
      of.setPointerCapture(event.pointerId);
      drag = { window: event.button === 2 || event.shiftKey, x: event.clientX, y: event.clientY };
    });
    of.addEventListener("pointermove", (event) => {
      this.pointed(event);
      if (!drag) return;
      const [x, y] = [event.clientX - drag.x, event.clientY - drag.y];
      [drag.x, drag.y] = [event.clientX, event.clientY];
      if (drag.window) this.shiftWindow(-y / 300, x / 300);
      else this.pan(x, y);
    });
    for (const end of ["pointerup", "pointercancel"]) of.addEventListener(end, () => { drag = null; });
    of.addEventListener("pointerleave", () => this.onpoint?.(null));
  }

  pointed(event) {
    if (!this.size) return;
    const { left, top } = this.element.getBoundingClientRect();
    const x = Math.floor((event.clientX - left - this.left) / this.scale);
    const y = Math.floor((event.clientY - top - this.top) / this.scale);
    const inside = x >= 0 && y >= 0 && x < this.size.width && y < this.size.height;
    this.onpoint?.(inside ? { x, y, value: this.valueAt(x, y) } : null);
  }

  /** Return the value of the file at a pixel; null if the pixels are missing or of another size. */
  valueAt(x, y) {
    const about = this.pixels?.about;
    if (!about || about.width !== this.size.width || about.height !== this.size.height) return null;
    return this.pixels.values[y * about.width + x] * about.slope + about.offset;
  }
}
