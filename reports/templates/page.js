(function () {
  "use strict";
  document.documentElement.classList.add("scripted");

  /* A table of class sortable: headings sort its rows. Rows with data-row and data-parent are a tree, which stays one:
     rows are sorted among those of the same block; a block's button folds it. Cells are sorted by data-value or text. */
  function arrange(table) {
    var body = table.tBodies[0];
    var heads = Array.from(table.tHead.rows[0].cells);
    var rows = Array.from(body.rows).map(function (line, place) {
      var fold = line.querySelector("button.fold");
      return { line: line, place: place, parent: null, inner: [], fold: fold, open: !fold || line.hasAttribute("data-open") };
    });
    var numbered = {};
    rows.forEach(function (row) { numbered[row.line.dataset.row] = row; });
    rows.forEach(function (row) {
      var parent = row.line.dataset.parent;
      if (parent !== undefined) { row.parent = numbered[parent]; row.parent.inner.push(row); }
    });
    var order = null;

    function flat() { return table.classList.contains("flat"); }

    function value(row, column) {
      var cell = row.line.cells[column];
      if (cell.dataset.value !== undefined) { return parseFloat(cell.dataset.value); }
      if (heads[column].classList.contains("number")) { return null; }
      return (flat() && row.line.dataset.name) || cell.textContent.trim();
    }

    function compare(one, two) {
      if (!order) { return one.place - two.place; }
      var x = value(one, order.column), y = value(two, order.column);
      if (x === null || y === null) { return (x === null) - (y === null) || one.place - two.place; }
      var step = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
      return step * order.sign || one.place - two.place;
    }

    function draw() {
      var lines = document.createDocumentFragment();
      function add(row, shown) {
        row.line.classList.toggle("folded", !shown && !flat());
        lines.appendChild(row.line);
        row.inner.slice().sort(compare).forEach(function (inner) { add(inner, shown && row.open); });
      }
      if (flat()) {
        rows.slice().sort(compare).forEach(function (row) { row.line.classList.remove("folded"); lines.appendChild(row.line); });
      } else {
        rows.filter(function (row) { return !row.parent; }).sort(compare).forEach(function (row) { add(row, true); });
      }
      body.appendChild(lines);
      rows.forEach(function (row) { if (row.fold) { row.fold.setAttribute("aria-expanded", row.open); } });
    }

    heads.forEach(function (head, column) {
      var button = head.querySelector("button");
      if (!button) { return; }
      button.addEventListener("click", function () {
        var falling = head.classList.contains("number") && column > 0;
        var sign = order && order.column === column ? -order.sign : falling ? -1 : 1;
        order = { column: column, sign: sign };
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        draw();
      });
    });
    rows.forEach(function (row) {
      if (row.fold) { row.fold.addEventListener("click", function () { row.open = !row.open; draw(); }); }
    });
    document.querySelectorAll('[data-table="' + table.id + '"]').forEach(function (tool) {
      tool.addEventListener(tool.type === "checkbox" ? "change" : "click", function () {
        if (tool.type === "checkbox") { table.classList.toggle("flat", tool.checked); }
        else { rows.forEach(function (row) { row.open = !row.fold || tool.dataset.fold === "none"; }); }
        draw();
      });
    });
    draw();
  }
  document.querySelectorAll("table.sortable").forEach(arrange);

  document.querySelectorAll("input[data-opacity]").forEach(function (slider) {
    slider.addEventListener("input", function () {
      document.getElementById(slider.dataset.opacity).style.setProperty("--opacity", slider.value / 100);
    });
  });
})();
