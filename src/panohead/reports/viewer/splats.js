// Splats of a head (3-D Gaussians, Kerbl et al. 2023) in a page: an SPZ file, drawn by three.js from back to front.
//
// The image is that of the package's splatter (panohead/splats/rasterize.py): a splat is widened by the variance of a
// pixel's square and loses as much opacity, reaches to 3 deviations, and colors are mixed as sRGB. Splats are sorted here,
// in some milliseconds, and not by a worker: the page's policy allows neither workers nor WebAssembly.
"use strict";
const SPLATS = (() => {
  const TEXELS = 3, ROW = 512; // texels that a splat has in the texture, and splats in one row of it
  const SH_DC = 0.28209479177387814;
  const LEVELS = 1 << 16; // depths that the order tells apart: 0.01 mm

  const VERTEX = `
    uniform sampler2D splats;
    uniform float side; // pixels
    attribute float splat;
    varying vec2 place; // in deviations
    varying vec4 shade;
    void main() {
      ivec2 first = ivec2(int(splat) % ${ROW} * ${TEXELS}, int(splat) / ${ROW});
      vec4 a = texelFetch(splats, first, 0), b = texelFetch(splats, first + ivec2(1, 0), 0);
      vec4 c = texelFetch(splats, first + ivec2(2, 0), 0);
      vec4 eye = modelViewMatrix * vec4(a.xyz, 1.0);
      gl_Position = projectionMatrix * eye;
      mat3 turn = mat3(modelViewMatrix);
      mat3 covariance = turn * mat3(b.x, b.y, b.z, b.y, b.w, c.x, b.z, c.x, c.y) * transpose(turn);
      float focal = projectionMatrix[1][1] * side * 0.5;
      vec3 right = vec3(1.0, 0.0, -eye.x / eye.z) * focal / -eye.z, up = vec3(0.0, 1.0, -eye.y / eye.z) * focal / -eye.z;
      float xx = dot(right, covariance * right), xy = dot(right, covariance * up), yy = dot(up, covariance * up);
      float before = max(xx * yy - xy * xy, 0.0);
      xx += 1.0 / 12.0;
      yy += 1.0 / 12.0;
      float opacity = a.w * sqrt(before / (xx * yy - xy * xy));
      float middle = 0.5 * (xx + yy), apart = length(vec2(0.5 * (xx - yy), xy));
      vec2 longest = xx > yy ? vec2(middle + apart - yy, xy) : vec2(xy, middle + apart - xx);
      vec2 axis = apart < 1e-6 ? vec2(1.0, 0.0) : normalize(longest);
      // Beyond this it is fainter than a step of 8 bits.
      place = position.xy * min(3.0, sqrt(2.0 * log(max(1.0, 255.0 * opacity))));
      vec2 away = place.x * sqrt(middle + apart) * axis + place.y * sqrt(max(middle - apart, 0.0)) * vec2(-axis.y, axis.x);
      gl_Position.xy += away * 2.0 / side * gl_Position.w;
      float red = floor(c.z / 65536.0), green = floor((c.z - red * 65536.0) / 256.0);
      shade = vec4(vec3(red, green, c.z - red * 65536.0 - green * 256.0) / 255.0, opacity);
    }`;
  const FRAGMENT = `
    varying vec2 place;
    varying vec4 shade;
    void main() {
      float alpha = min(0.99, shade.a * exp(-0.5 * dot(place, place)));
      if (alpha < 1.0 / 255.0) discard;
      gl_FragColor = vec4(shade.rgb * alpha, alpha);
    }`;

  // Version 2 of SPZ, as panohead/splats/spz.py writes it, to a texture: center, opacity, covariance (xx xy xz yy yz zz), color.
  async function read(file) {
    const stream = new Blob([file]).stream().pipeThrough(new DecompressionStream("gzip"));
    const body = await new Response(stream).arrayBuffer(), view = new DataView(body), count = view.getUint32(8, true);
    if (view.getUint32(0, true) !== 0x5053474e || body.byteLength < 16 + 19 * count) throw new Error("not the splats of a head");
    const step = 2 ** -view.getUint8(13), all = new Uint8Array(body, 16);
    const [places, opacities, colors, sizes, turns] = [0, 9, 10, 13, 16].map(start => all.subarray(start * count));
    const texels = new Float32Array(4 * TEXELS * ROW * Math.ceil(count / ROW)), centers = new Float32Array(3 * count);
    for (let i = 0; i < count; i++) {
      const at = 4 * TEXELS * i;
      for (let k = 0; k < 3; k++) {
        const p = 9 * i + 3 * k; // 24 bits with a sign
        centers[3 * i + k] = texels[at + k] = ((places[p] | places[p + 1] << 8 | places[p + 2] << 16) << 8 >> 8) * step;
      }
      texels[at + 3] = opacities[i] / 255;
      const three = list => [0, 1, 2].map(k => list[3 * i + k]);
      covariance(texels, at + 4, three(turns).map(q => q / 127.5 - 1), three(sizes).map(s => Math.exp(s / 8 - 20)));
      let color = 0;
      for (let k = 0; k < 3; k++) {
        const shade = 0.5 + SH_DC * (colors[3 * i + k] / 255 - 0.5) / 0.15;
        color = color * 256 + Math.round(255 * Math.min(1, Math.max(0, shade)));
      }
      texels[at + 10] = color;
    }
    return { count, texels, centers };
  }

  // Of a quaternion's x, y and z (w is not negative) and variances.
  function covariance(out, at, [x, y, z], [a, b, c]) {
    const w = Math.sqrt(Math.max(0, 1 - x * x - y * y - z * z));
    const rows = [
      [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
      [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
      [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ];
    for (let i = 0; i < 3; i++) {
      for (let k = i; k < 3; k++) {
        const [p, q] = [rows[i], rows[k]];
        out[at++] = a * p[0] * q[0] + b * p[1] * q[1] + c * p[2] * q[2];
      }
    }
  }

  // A scene of splats; "scale" is what a meter is in the page's world.
  async function open(file, scale) {
    const { count, texels, centers } = await read(file);
    const width = TEXELS * ROW, height = texels.length / (4 * width);
    const texture = new THREE.DataTexture(texels, width, height, THREE.RGBAFormat, THREE.FloatType);
    texture.needsUpdate = true;
    const geometry = new THREE.InstancedBufferGeometry();
    const order = new THREE.InstancedBufferAttribute(new Float32Array(count), 1);
    const corners = new Float32Array([-1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 1, 0]);
    geometry.setAttribute("position", new THREE.BufferAttribute(corners, 3));
    geometry.setIndex([0, 1, 2, 0, 2, 3]);
    geometry.setAttribute("splat", order);
    geometry.instanceCount = count;
    const uniforms = { splats: { value: texture }, side: { value: 1 } };
    const material = new THREE.ShaderMaterial({
      uniforms, vertexShader: VERTEX, fragmentShader: FRAGMENT,
      transparent: true, premultipliedAlpha: true, depthTest: false, depthWrite: false,
    });
    const mesh = new THREE.Mesh(geometry, material), scene = new THREE.Scene();
    mesh.frustumCulled = false;
    mesh.scale.setScalar(scale);
    scene.add(mesh);
    const depths = new Float32Array(count), levels = new Uint16Array(count), starts = new Uint32Array(LEVELS + 1);

    // Farthest first: a counting sort along the camera's axis.
    function sort(camera) {
      const [x, y, z] = [2, 6, 10].map(k => camera.matrixWorldInverse.elements[k]);
      let low = Infinity, high = -Infinity;
      for (let i = 0; i < count; i++) {
        const depth = (depths[i] = x * centers[3 * i] + y * centers[3 * i + 1] + z * centers[3 * i + 2]);
        if (depth < low) low = depth;
        if (depth > high) high = depth;
      }
      const factor = (LEVELS - 1) / Math.max(high - low, 1e-9);
      starts.fill(0);
      for (let i = 0; i < count; i++) {
        levels[i] = (depths[i] - low) * factor;
        starts[levels[i] + 1]++;
      }
      for (let k = 0; k < LEVELS; k++) starts[k + 1] += starts[k];
      for (let i = 0; i < count; i++) order.array[starts[levels[i]]++] = i;
      order.needsUpdate = true;
    }

    return {
      render(renderer, camera, side) {
        camera.updateMatrixWorld();
        sort(camera);
        uniforms.side.value = side;
        renderer.render(scene, camera);
      },
    };
  }

  return { open };
})();
